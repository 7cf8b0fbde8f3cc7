// Resampling::moments: the triangle filter over bytes, most of it in integers.
//
// pixel.h's cell_sums says why four sums of a cell are enough. Here they are made in two steps, each source row being
// read once: down the columns of a segment of rows (16-bit lanes, two sums), then along the row over its segments of
// columns. What is left for floats is one row of sums for each segment, of the tensor's width.
#pragma once

#include "shade.h"

namespace edgevision::EV_ISA {

// Sums down the columns of one segment of rows, channels interleaved as in the frame, from the first segment of columns
// on; zero where there is no pixel.
struct ColumnSums {
  int16_t* mass;
  int16_t* moment;
};

// Vectors read as much as this behind a segment of columns, and write as much as this behind a row.
constexpr int32_t kSumsMargin = 32;
constexpr int32_t kMostSlots = 8;
constexpr int32_t kMostPairs = 5;  // of columns in a segment, for which there is a loop

struct MomentsScratch {
  int64_t sums, line;  // int16 in a line of sums; floats in a line of a slot
  int32_t slots;       // segments of rows that are kept, complete

  explicit MomentsScratch(const Job& job) {
    const Axis& columns = job.columns;
    const int64_t width = columns.segment[columns.segments] - columns.segment[0];
    sums = (width * packed_step(job.format) + 2 * kSumsMargin + 31) / 32 * 32;
    line = (columns.count + 7) / 8 * 8;
    slots = job.rows.taps <= kMostSlots ? job.rows.taps : 1;
  }
  size_t bytes() const {
    return static_cast<size_t>(2 * sums) * sizeof(int16_t) + static_cast<size_t>((slots * 6 + 3) * line) * sizeof(float);
  }
};

inline size_t moments_scratch_bytes(const Job& job) { return MomentsScratch(job).bytes(); }

// Sum the rows of segment `index` down its columns.
inline void sum_down(const Job& job, int32_t index, int32_t step, const ColumnSums& sums) {
  const Axis& columns = job.columns;
  const int32_t origin = columns.segment[0];
  const int32_t left = std::max(origin, columns.low), right = std::min(columns.segment[columns.segments], columns.high);
  const int32_t count = (right - left) * step;
  const int32_t begin = job.rows.segment[index];
  const int32_t top = std::max(begin, job.rows.low), bottom = std::min(job.rows.segment[index + 1], job.rows.high);
  const int64_t at = static_cast<int64_t>(left - origin) * step;
  if (top >= bottom) {  // a part of the triangle that lies outside the frame
    std::memset(sums.mass + at, 0, static_cast<size_t>(count) * sizeof(int16_t));
    std::memset(sums.moment + at, 0, static_cast<size_t>(count) * sizeof(int16_t));
    return;
  }
  const uint8_t* row[kSegmentRows];
  for (int32_t y = top; y < bottom; ++y) {
    row[y - top] = job.plane[0] + y * job.pitch[0] + static_cast<int64_t>(left) * step;
  }
  if (count >= 32) return sum_rows(row, bottom - top, top - begin, count, sums.mass + at, sums.moment + at);
  for (int32_t i = 0; i < count; ++i) {
    int32_t mass = 0, moment = 0;
    for (int32_t r = 0; r < bottom - top; ++r) {
      mass += row[r][i];
      moment += (r + top - begin) * row[r][i];
    }
    sums.mass[at + i] = static_cast<int16_t>(mass);
    sums.moment[at + i] = static_cast<int16_t>(moment);
  }
}

// Asks for the rows of the segment after the one at hand, while that is being summed along its rows: those sums lie in
// the first-level cache, and memory would be idle.
class NextRows {
 public:
  NextRows(const Job& job, int32_t index, int32_t last) {
    if (index > last) return;
    const Axis& rows = job.rows;
    const int32_t top = std::max(rows.segment[index], rows.low), bottom = std::min(rows.segment[index + 1], rows.high);
    const int32_t step = packed_step(job.format);
    rows_ = std::max(bottom - top, 0);
    pitch_ = job.pitch[0];
    row_ = job.plane[0] + top * pitch_;
    next_ = std::max(job.columns.segment[0], job.columns.low) * step;
    end_ = std::min(job.columns.segment[job.columns.segments], job.columns.high) * step;
    share_ = ((end_ - next_) / ((job.columns.count + 7) / 8) + 63) / 64 * 64;
  }

  // The share of eight outputs.
  EV_INLINE void ask() {
    const int32_t upto = std::min(next_ + share_, end_);
    for (; next_ < upto; next_ += 64) {
      const uint8_t* p = row_ + next_;
      for (int32_t r = 0; r < rows_; ++r, p += pitch_) prefetch(p);
    }
  }

 private:
  const uint8_t* row_ = nullptr;
  int64_t pitch_ = 0;
  int32_t rows_ = 0, next_ = 0, end_ = 0, share_ = 0;
};

// Lanes: B, G, R of the column sums' masses, any, B, G, R of their moments, any. kPairs < 0: of any width.
template <int kStep, int kPairs>
EV_INLINE void sum_segment(const Axis& columns, int32_t segment, const ColumnSums& sums, F8* mass, F8* moment) {
  const int32_t* begin = columns.segment + segment;
  const int64_t at = static_cast<int64_t>(begin[0] - columns.segment[0]) * kStep;
  if constexpr (kPairs < 0) sum_columns<kStep>(sums.mass + at, sums.moment + at, begin[1] - begin[0], mass, moment);
  else sum_columns_narrow<kStep, kPairs>(sums.mass + at, sums.moment + at, begin[1] - begin[0], mass, moment);
}

// Eight weighted outputs to six lines: of masses down and of moments down, one for each channel.
EV_INLINE void put_lines(const F8* pixel, float* lines, int64_t pitch) {
  F8 line[6];
  transpose6(pixel, line);
  for (int i = 0; i < 6; ++i) store(lines + i * pitch, line[i]);
}

// Weigh the segments of columns for each output from x on.
template <int kStep>
inline void sum_across(const Axis& columns, const ColumnSums& sums, int32_t x, float* lines, int64_t pitch) {
  for (; x < columns.count; x += 8) {
    F8 pixel[8];
    for (int32_t i = 0; i < 8; ++i) {
      const int32_t column = std::min(x + i, columns.count - 1);
      const float* weight = columns.weight + static_cast<int64_t>(column) * columns.stride;
      pixel[i] = zero();
      for (int32_t k = 0; k < columns.taps; ++k) {
        F8 mass, moment;
        sum_segment<kStep, -1>(columns, columns.first[column] + k, sums, &mass, &moment);
        pixel[i] = fma(all(weight[2 * k + 1]), moment, fma(all(weight[2 * k]), mass, pixel[i]));
      }
    }
    put_lines(pixel, lines + x, pitch);
  }
}

// The same where output x has the segments x and x + 1: the second is the next one's first.
template <int kStep, int kPairs>
inline int32_t sum_across_once(const Axis& columns, const ColumnSums& sums, NextRows& next, float* lines, int64_t pitch) {
  F8 mass, moment;
  sum_segment<kStep, kPairs>(columns, 0, sums, &mass, &moment);
  const float* weight = columns.weight;
  int32_t x = 0;
  for (; x + 8 <= columns.count; x += 8) {
    F8 pixel[8];
#pragma GCC unroll 8
    for (int32_t i = 0; i < 8; ++i, weight += 4) {
      pixel[i] = fma(all(weight[1]), moment, fma(all(weight[0]), mass, zero()));
      sum_segment<kStep, kPairs>(columns, x + i + 1, sums, &mass, &moment);
      pixel[i] = fma(all(weight[3]), moment, fma(all(weight[2]), mass, pixel[i]));
    }
    put_lines(pixel, lines + x, pitch);
    next.ask();
  }
  return x;
}

// How a job's segments of columns are summed. -2: each output by itself; -1: each segment once; else each once, and
// being 2·pairs to 2·pairs + 2 columns wide.
inline int pairs_across(const Job& job) {
  const Axis& columns = job.columns;
  if (columns.taps != 2 || columns.segments != columns.count + 1) return -2;
  int32_t least = kSegmentColumns, most = 0, rows = 0;
  for (int32_t i = 0; i < columns.segments; ++i) {
    const int32_t width = columns.segment[i + 1] - columns.segment[i];
    least = std::min(least, width);
    most = std::max(most, width);
  }
  for (int32_t i = 0; i < job.rows.segments; ++i) rows = std::max(rows, job.rows.segment[i + 1] - job.rows.segment[i]);
  const int32_t pairs = least / 2, largest = 255 * std::max(rows, rows * (rows - 1) / 2);
  const bool fits = largest * std::max(pairs + 1, pairs * (pairs + 1) / 2) <= 32767;
  return job.format != Format::gray && most <= 2 * pairs + 2 && fits && pairs <= kMostPairs ? pairs : -1;
}

template <int kStep>
inline void sum_across(int pairs, const Axis& columns, const ColumnSums& sums, NextRows& next, float* lines,
                       int64_t pitch) {
  int32_t done = 0;
  if constexpr (kStep > 1) {
    switch (pairs) {
      case 0: done = sum_across_once<kStep, 0>(columns, sums, next, lines, pitch); break;
      case 1: done = sum_across_once<kStep, 1>(columns, sums, next, lines, pitch); break;
      case 2: done = sum_across_once<kStep, 2>(columns, sums, next, lines, pitch); break;
      case 3: done = sum_across_once<kStep, 3>(columns, sums, next, lines, pitch); break;
      case 4: done = sum_across_once<kStep, 4>(columns, sums, next, lines, pitch); break;
      case 5: done = sum_across_once<kStep, 5>(columns, sums, next, lines, pitch); break;
      default: break;
    }
  }
  if (pairs == -1) done = sum_across_once<kStep, -1>(columns, sums, next, lines, pitch);
  sum_across<kStep>(columns, sums, done, lines, pitch);
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

template <int kStep>
inline void moments_picture(const Job& job, int32_t begin, int32_t end, uint8_t* scratch) {
  constexpr int kChannels = kStep == 1 ? 1 : 3;
  const Shader shade(job);
  const MomentsScratch sizes(job);
  const int64_t pitch = sizes.line;
  const ColumnSums sums = {reinterpret_cast<int16_t*>(scratch), reinterpret_cast<int16_t*>(scratch) + sizes.sums};
  float* const slots = reinterpret_cast<float*>(scratch + 2 * sizes.sums * static_cast<int64_t>(sizeof(int16_t)));
  float* const partial = slots + sizes.slots * 6 * pitch;
  std::memset(scratch, 0, static_cast<size_t>(2 * sizes.sums) * sizeof(int16_t));
  const int pairs = pairs_across(job);
  int32_t held[kMostSlots];
  std::fill(held, held + kMostSlots, -1);

  const Axis& rows = job.rows;
  for (int32_t row = begin; row < end; ++row) {
    WeighedLines segments[kMostSlots];
    int32_t count = 0;
    bool fresh = true;
    for (int32_t k = 0; k < rows.taps; ++k) {
      const int32_t index = rows.first[row] + k, slot = index % sizes.slots;
      float* lines = slots + slot * 6 * pitch;
      if (held[slot] != index) {
        sum_down(job, index, kStep, sums);
        NextRows next(job, index + 1, rows.first[end - 1] + rows.taps - 1);
        sum_across<kStep>(pairs, job.columns, sums, next, lines, pitch);
        held[slot] = index;
      }
      const float* weight = rows.weight + static_cast<int64_t>(row) * rows.stride + 2 * k;
      segments[count++] = {lines, weight[0], weight[1]};
      if (count < sizes.slots || k + 1 == rows.taps) continue;
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
      shaded([&](int c, int32_t x) EV_INLINE_LAMBDA { return add_segments(segments, 2, pitch, c, x, zero()); });
    } else {
      shaded([&](int c, int32_t x) EV_INLINE_LAMBDA {
        return add_segments(segments, count, pitch, c, x, fresh ? zero() : load(partial + c * pitch + x));
      });
    }
  }
}

inline void moments_picture(const Job& job, int32_t begin, int32_t end, uint8_t* scratch) {
  switch (packed_step(job.format)) {
    case 1: return moments_picture<1>(job, begin, end, scratch);
    case 4: return moments_picture<4>(job, begin, end, scratch);
    default: return moments_picture<3>(job, begin, end, scratch);
  }
}

}  // namespace edgevision::EV_ISA
