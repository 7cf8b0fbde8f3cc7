// Resampling::moments: the triangle filter, most of its work independent of its weights.
//
// pixel.h's cell_of_bytes says why four sums of a cell are enough. Here they are made in two steps, each source row being
// read once: down the columns of a segment of rows (two sums), then along the row over its segments of columns. What is
// left to weigh is one row of sums for each segment, of the tensor's width.
#pragma once

#include <type_traits>

#include "moments_bytes.h"
#include "moments_yuv.h"

namespace edgevision::EV_ISA {

constexpr int32_t kMostSlots = 8;
constexpr int32_t kMostPairs = 5;  // of columns in a segment, for which there is a loop

// Segments of rows that are kept, summed in both directions: six lines each, of the sums down and of the moments down,
// one for each channel; and three lines for sums of more segments than are kept.
struct Slots {
  int64_t pitch;
  int32_t count;

  explicit Slots(const RowJob& job)
      : pitch((job.columns.count + 7) / 8 * 8), count(job.rows.taps <= kMostSlots ? job.rows.taps : 1) {}
  size_t bytes() const { return static_cast<size_t>((count * 6 + 3) * pitch) * sizeof(float); }
};

// Asks for the rows of the segment after the one at hand, while that is being summed along its rows: those sums lie in
// the first-level cache, and memory would be idle.
class NextRows {
 public:
  NextRows(const RowJob& job, int32_t index, int32_t last) {
    if (index > last) return;
    const Axis &rows = job.rows, &columns = job.columns;
    top_ = std::max(rows.segment[index], rows.low);
    bottom_ = std::min(rows.segment[index + 1], rows.high);
    const int32_t step = bytes_per_pixel(job.format);
    next_ = std::max(columns.segment[0], columns.low) * step;
    end_ = std::min(columns.segment[columns.segments], columns.high) * step;
    share_ = ((end_ - next_) / ((columns.count + 7) / 8) + 63) / 64 * 64;
    has_chroma_ = job.format == Format::nv12;
  }

  // The share of eight outputs.
  EV_INLINE void ask(const RowJob& job) {
    const int32_t upto = std::min(next_ + share_, end_);
    for (; next_ < upto; next_ += 64) {
      const uint8_t* p = job.plane[0] + top_ * job.pitch[0] + next_;
      for (int32_t y = top_; y < bottom_; ++y, p += job.pitch[0]) prefetch(p);
      if (!has_chroma_) continue;
      for (int32_t y = top_ >> 1; 2 * y < bottom_; ++y) prefetch(job.plane[1] + y * job.pitch[1] + next_);
    }
  }

 private:
  int32_t top_ = 0, bottom_ = 0, next_ = 0, end_ = 0, share_ = 0;
  bool has_chroma_ = false;
};

// Eight weighted outputs to six lines.
EV_INLINE void put_lines(const F8* pixel, float* lines, int64_t pitch) {
  F8 line[6];
  transpose6(pixel, line);
  for (int i = 0; i < 6; ++i) store(lines + i * pitch, line[i]);
}

// Weigh the segments of columns for each output from x on.
template <typename Sums>
inline void sum_across(const Axis& columns, const Sums& sums, int32_t x, float* lines, int64_t pitch) {
  for (; x < columns.count; x += 8) {
    F8 pixel[8];
    for (int32_t i = 0; i < 8; ++i) {
      const int32_t column = std::min(x + i, columns.count - 1);
      const float* weight = columns.weight + static_cast<int64_t>(column) * columns.stride;
      pixel[i] = zero();
      for (int32_t k = 0; k < columns.taps; ++k) {
        F8 mass, moment;
        sums.template sum_segment<-1>(columns.first[column] + k, &mass, &moment);
        pixel[i] = fma(all(weight[2 * k + 1]), moment, fma(all(weight[2 * k]), mass, pixel[i]));
      }
    }
    put_lines(pixel, lines + x, pitch);
  }
}

// The same where output x has the segments x and x + 1: the second is the next one's first.
template <int kPairs, typename Sums>
inline int32_t sum_across_once(const RowJob& job, const Sums& sums, NextRows& next, float* lines, int64_t pitch) {
  const Axis& columns = job.columns;
  F8 mass, moment;
  sums.template sum_segment<kPairs>(0, &mass, &moment);
  const float* weight = columns.weight;
  int32_t x = 0;
  for (; x + 8 <= columns.count; x += 8) {
    F8 pixel[8];
#pragma GCC unroll 8
    for (int32_t i = 0; i < 8; ++i, weight += 4) {
      pixel[i] = fma(all(weight[1]), moment, multiply(all(weight[0]), mass));
      sums.template sum_segment<kPairs>(x + i + 1, &mass, &moment);
      pixel[i] = fma(all(weight[3]), moment, fma(all(weight[2]), mass, pixel[i]));
    }
    put_lines(pixel, lines + x, pitch);
    next.ask(job);
  }
  return x;
}

// How a job's segments of columns are summed. -2: each output by itself; -1: each segment once; else each once, and
// being 2·pairs to 2·pairs + 2 columns wide.
template <typename Sums>
inline int pairs_across(const RowJob& job) {
  const Axis& columns = job.columns;
  if (columns.taps != 2 || columns.segments != columns.count + 1) return -2;
  int32_t least = kSegmentColumns, most = 0, rows = 0;
  for (int32_t i = 0; i < columns.segments; ++i) {
    const int32_t width = columns.segment[i + 1] - columns.segment[i];
    least = std::min(least, width);
    most = std::max(most, width);
  }
  for (int32_t i = 0; i < job.rows.segments; ++i) rows = std::max(rows, job.rows.segment[i + 1] - job.rows.segment[i]);
  if constexpr (Sums::kNarrow) {
    const int32_t pairs = least / 2;
    if (pairs <= kMostPairs && most <= 2 * pairs + 2 && Sums::fits(rows, pairs)) return pairs;
  }
  return -1;
}

template <typename Sums>
inline void sum_across(int pairs, const RowJob& job, const Sums& sums, NextRows& next, float* lines, int64_t pitch) {
  int32_t done = 0;
  if constexpr (Sums::kNarrow) {
    switch (pairs) {
      case 0: done = sum_across_once<0>(job, sums, next, lines, pitch); break;
      case 1: done = sum_across_once<1>(job, sums, next, lines, pitch); break;
      case 2: done = sum_across_once<2>(job, sums, next, lines, pitch); break;
      case 3: done = sum_across_once<3>(job, sums, next, lines, pitch); break;
      case 4: done = sum_across_once<4>(job, sums, next, lines, pitch); break;
      case 5: done = sum_across_once<5>(job, sums, next, lines, pitch); break;
      default: break;
    }
  }
  if (pairs == -1) done = sum_across_once<-1>(job, sums, next, lines, pitch);
  sum_across(job.columns, sums, done, lines, pitch);
}

// A segment of rows, summed in both directions, and its two weights for the output row at hand.
struct WeighedLines {
  const float* lines;
  float mass, moment;
};

// Eight pixels of channel c: `sum` and what the segments add to it.
EV_INLINE F8 add_segments(const WeighedLines* segments, int32_t count, int64_t pitch, int c, int32_t x, F8 sum) {
  for (int32_t i = 0; i < count; ++i) {
    const float* line = segments[i].lines + c * pitch + x;
    sum = fma(all(segments[i].mass), load(line), sum);
    sum = fma(all(segments[i].moment), load(line + 3 * pitch), sum);
  }
  return sum;
}

template <typename Sums>
inline void moments_picture_of(const RowJob& job, int32_t begin, int32_t end, uint8_t* scratch) {
  constexpr int kChannels = Sums::kChannels;
  const Shader shade(job);
  const Slots sizes(job);
  const int64_t pitch = sizes.pitch;
  float* const slots = reinterpret_cast<float*>(scratch);
  float* const partial = slots + sizes.count * 6 * pitch;
  Sums sums(job, scratch + sizes.bytes());
  const int pairs = pairs_across<Sums>(job);
  int32_t held[kMostSlots];
  std::fill(held, held + kMostSlots, -1);

  const Axis& rows = job.rows;
  for (int32_t row = begin; row < end; ++row) {
    WeighedLines segments[kMostSlots];
    int32_t count = 0;
    bool fresh = true;
    for (int32_t k = 0; k < rows.taps; ++k) {
      const int32_t index = rows.first[row] + k, slot = index % sizes.count;
      float* lines = slots + slot * 6 * pitch;
      if (held[slot] != index) {
        sums.sum_down(index);
        NextRows next(job, index + 1, rows.first[end - 1] + rows.taps - 1);
        sum_across(pairs, job, sums, next, lines, pitch);
        held[slot] = index;
      }
      const float* weight = rows.weight + static_cast<int64_t>(row) * rows.stride + 2 * k;
      segments[count++] = {lines, weight[0], weight[1]};
      if (count < sizes.count || k + 1 == rows.taps) continue;
      for (int32_t x = 0; x < job.columns.count; x += 8) {  // more segments than are kept
        for (int c = 0; c < kChannels; ++c) {
          float* line = partial + c * pitch + x;
          store(line, add_segments(segments, count, pitch, c, x, fresh ? zero() : load(line)));
        }
      }
      fresh = false;
      count = 0;
    }
    const auto shaded = [&](auto sum) EV_INLINE_LAMBDA {
      write_row(job, row, [&](int32_t first, int32_t last, const FloatRows& floats) EV_INLINE_LAMBDA {
        const Target out = shade.target(floats);
        for (int32_t x = first; x < last; x += 8) {
          F8 pixel[3];
          for (int c = 0; c < kChannels; ++c) pixel[c] = sum(c, x);
          if (kChannels == 1) pixel[1] = pixel[2] = pixel[0];
          shade(pixel, out, x - first, last - x);
        }
      });
    };
    if (rows.taps == 2) {  // so it is whenever a picture shrinks by less than kSegmentRows
      shaded([&](int c, int32_t x) EV_INLINE_LAMBDA {
        const float* line = segments[0].lines + c * pitch + x;
        const F8 sum = fma(all(segments[0].moment), load(line + 3 * pitch), multiply(all(segments[0].mass), load(line)));
        return add_segments(segments + 1, 1, pitch, c, x, sum);
      });
    } else {
      shaded([&](int c, int32_t x) EV_INLINE_LAMBDA {
        return add_segments(segments, count, pitch, c, x, fresh ? zero() : load(partial + c * pitch + x));
      });
    }
  }
}

// Calls act with a null pointer to the kind of column sums that the format has.
template <typename Do>
inline auto with_sums(Format format, Do act) {
  switch (format) {
    case Format::gray: return act(static_cast<ByteColumns<1>*>(nullptr));
    case Format::bgra: return act(static_cast<ByteColumns<4>*>(nullptr));
    case Format::nv12: return act(static_cast<YuvColumns<Format::nv12>*>(nullptr));
    case Format::i420: return act(static_cast<YuvColumns<Format::i420>*>(nullptr));
    case Format::yuyv: return act(static_cast<YuvColumns<Format::yuyv>*>(nullptr));
    default: return act(static_cast<ByteColumns<3>*>(nullptr));
  }
}

inline void moments_picture(const RowJob& job, int32_t begin, int32_t end, uint8_t* scratch) {
  with_sums(job.format, [&](auto* kind) {
    moments_picture_of<std::remove_pointer_t<decltype(kind)>>(job, begin, end, scratch);
  });
}

inline size_t moments_scratch_bytes(const RowJob& job) {
  return Slots(job).bytes() + with_sums(job.format, [&](auto* kind) {
           return std::remove_pointer_t<decltype(kind)>::scratch_bytes(job);
         });
}

}  // namespace edgevision::EV_ISA
