// Resampling::piecewise_linear: a filter that is linear between knots, evaluated from sums that all outputs share.
//
// CellSums in pixel.h says why four sums of a cell are enough. Here each source row is read once, in three steps:
//  1. down each column over a piece of rows: Σ p and Σ y·p (sum_down);
//  2. along the row, over each piece of columns, weighted for each output column (sum_across): now a piece of rows is
//     six lines of the picture's width, Σ p and Σ y·p of three channels;
//  3. for each output row, the weighted sum of the lines of its pieces of rows (add_pieces).
#pragma once

#include <type_traits>

#include "piecewise_linear_bytes.h"
#include "piecewise_linear_yuv.h"

namespace edgevision::EV_ISA {

constexpr int32_t kMaxSlots = 8;
constexpr int32_t kMaxPairs = 5;  // the widest pieces of columns, in pairs, that have a loop of their own

// A ring buffer of pieces of rows after step 2, six lines to a slot: Σ p of each channel, then Σ y·p of each. It holds
// all pieces of an output row if those are few, else one. Behind it lie three lines for the sum over many pieces.
struct Slots {
  int64_t pitch;
  int32_t count;

  explicit Slots(const RowJob& job)
      : pitch((job.columns.count + 7) / 8 * 8), count(job.rows.taps <= kMaxSlots ? job.rows.taps : 1) {}
  size_t bytes() const { return static_cast<size_t>((count * 6 + 3) * pitch) * sizeof(float); }
};

// Prefetches the source rows of the next piece during step 2, which reads only from the first-level cache and would
// leave memory idle.
class PiecePrefetcher {
 public:
  PiecePrefetcher(const RowJob& job, int32_t index, int32_t last) {
    if (index > last) return;
    const Axis &rows = job.rows, &columns = job.columns;
    top_ = std::max(rows.knot[index], rows.low);
    bottom_ = std::min(rows.knot[index + 1], rows.high);
    const int32_t bytes = bytes_per_pixel(job.format);
    next_ = std::max(columns.knot[0], columns.low) * bytes;
    end_ = std::min(columns.knot[columns.pieces], columns.high) * bytes;
    step_ = ((end_ - next_) / ((columns.count + 7) / 8) + 63) / 64 * 64;
    has_chroma_ = job.format == Format::nv12;
  }

  // Called once for every eight output columns: prefetches as much of the rows as falls to these.
  EV_INLINE void step(const RowJob& job) {
    const int32_t upto = std::min(next_ + step_, end_);
    for (; next_ < upto; next_ += 64) {
      const uint8_t* p = job.plane[0] + top_ * job.pitch[0] + next_;
      for (int32_t y = top_; y < bottom_; ++y, p += job.pitch[0]) prefetch(p);
      if (!has_chroma_) continue;
      for (int32_t y = top_ >> 1; 2 * y < bottom_; ++y) prefetch(job.plane[1] + y * job.pitch[1] + next_);
    }
  }

 private:
  int32_t top_ = 0, bottom_ = 0, next_ = 0, end_ = 0, step_ = 0;
  bool has_chroma_ = false;
};

// Store eight output columns, each a vector of Σ p and Σ y·p by channel, into the six lines.
EV_INLINE void put_lines(const F8* pixel, float* lines, int64_t pitch) {
  F8 line[6];
  transpose6(pixel, line);
  for (int i = 0; i < 6; ++i) store(lines + i * pitch, line[i]);
}

// Step 2 for the output columns from x on, each of which sums its own pieces.
template <typename Sums>
inline void sum_across(const Axis& columns, const Sums& sums, int32_t x, float* lines, int64_t pitch) {
  for (; x < columns.count; x += 8) {
    F8 pixel[8];
    for (int32_t i = 0; i < 8; ++i) {
      const int32_t column = std::min(x + i, columns.count - 1);
      const float* weight = columns.weight + static_cast<int64_t>(column) * columns.stride;
      pixel[i] = zero();
      for (int32_t k = 0; k < columns.taps; ++k) {
        F8 sum, weighted;
        sums.template sum_piece<-1>(columns.first[column] + k, &sum, &weighted);
        pixel[i] = fma(all(weight[2 * k + 1]), weighted, fma(all(weight[2 * k]), sum, pixel[i]));
      }
    }
    put_lines(pixel, lines + x, pitch);
  }
}

// Step 2 where output column x has the pieces x and x + 1, the second of which is the next column's first: each piece
// is summed once. Returns the first column that is left, fewer than eight from the end.
template <int kPairs, typename Sums>
inline int32_t sum_across_once(const RowJob& job, const Sums& sums, PiecePrefetcher& ahead, float* lines,
                               int64_t pitch) {
  const Axis& columns = job.columns;
  F8 sum, weighted;
  sums.template sum_piece<kPairs>(0, &sum, &weighted);
  const float* weight = columns.weight;
  int32_t x = 0;
  for (; x + 8 <= columns.count; x += 8) {
    F8 pixel[8];
#pragma GCC unroll 8
    for (int32_t i = 0; i < 8; ++i, weight += 4) {
      pixel[i] = fma(all(weight[1]), weighted, multiply(all(weight[0]), sum));
      sums.template sum_piece<kPairs>(x + i + 1, &sum, &weighted);
      pixel[i] = fma(all(weight[3]), weighted, fma(all(weight[2]), sum, pixel[i]));
    }
    put_lines(pixel, lines + x, pitch);
    ahead.step(job);
  }
  return x;
}

// How step 2 sums pieces of columns. -2: for each output column anew; -1: each piece once; 0 or more: each piece once,
// by the loop for pieces of 2·pairs to 2·pairs + 2 columns.
template <typename Sums>
inline int pairs_across(const RowJob& job) {
  const Axis& columns = job.columns;
  if (columns.taps != 2 || columns.pieces != columns.count + 1) return -2;
  int32_t least = kMaxPieceColumns, most = 0, rows = 0;
  for (int32_t i = 0; i < columns.pieces; ++i) {
    const int32_t width = columns.knot[i + 1] - columns.knot[i];
    least = std::min(least, width);
    most = std::max(most, width);
  }
  for (int32_t i = 0; i < job.rows.pieces; ++i) rows = std::max(rows, job.rows.knot[i + 1] - job.rows.knot[i]);
  if constexpr (Sums::kNarrow) {
    const int32_t pairs = least / 2;
    if (pairs <= kMaxPairs && most <= 2 * pairs + 2 && Sums::fits(rows, pairs)) return pairs;
  }
  return -1;
}

template <typename Sums>
inline void sum_across(int pairs, const RowJob& job, const Sums& sums, PiecePrefetcher& ahead, float* lines,
                       int64_t pitch) {
  int32_t done = 0;
  if constexpr (Sums::kNarrow) {
    switch (pairs) {
      case 0: done = sum_across_once<0>(job, sums, ahead, lines, pitch); break;
      case 1: done = sum_across_once<1>(job, sums, ahead, lines, pitch); break;
      case 2: done = sum_across_once<2>(job, sums, ahead, lines, pitch); break;
      case 3: done = sum_across_once<3>(job, sums, ahead, lines, pitch); break;
      case 4: done = sum_across_once<4>(job, sums, ahead, lines, pitch); break;
      case 5: done = sum_across_once<5>(job, sums, ahead, lines, pitch); break;
      default: break;
    }
  }
  if (pairs == -1) done = sum_across_once<-1>(job, sums, ahead, lines, pitch);
  sum_across(job.columns, sums, done, lines, pitch);
}

// A piece of rows after step 2, and its weight in the output row at hand: value + y·slope, y counted from its knot.
struct WeightedPiece {
  const float* lines;
  float value, slope;
};

// Step 3 for eight pixels of channel c: adds the pieces to `sum`.
EV_INLINE F8 add_pieces(const WeightedPiece* pieces, int32_t count, int64_t pitch, int c, int32_t x, F8 sum) {
  for (int32_t i = 0; i < count; ++i) {
    const float* line = pieces[i].lines + c * pitch + x;
    sum = fma(all(pieces[i].value), load(line), sum);
    sum = fma(all(pieces[i].slope), load(line + 3 * pitch), sum);
  }
  return sum;
}

template <typename Sums>
inline void piecewise_linear_picture_of(const RowJob& job, int32_t begin, int32_t end, uint8_t* scratch) {
  constexpr int kChannels = Sums::kChannels;
  const Normaliser normalise(job);
  const Slots sizes(job);
  const int64_t pitch = sizes.pitch;
  float* const slots = reinterpret_cast<float*>(scratch);
  float* const partial = slots + sizes.count * 6 * pitch;
  Sums sums(job, scratch + sizes.bytes());
  const int pairs = pairs_across<Sums>(job);
  int32_t held[kMaxSlots];
  std::fill(held, held + kMaxSlots, -1);

  const Axis& rows = job.rows;
  for (int32_t row = begin; row < end; ++row) {
    WeightedPiece pieces[kMaxSlots];
    int32_t count = 0;
    bool fresh = true;
    for (int32_t k = 0; k < rows.taps; ++k) {
      const int32_t index = rows.first[row] + k, slot = index % sizes.count;
      float* lines = slots + slot * 6 * pitch;
      if (held[slot] != index) {
        sums.sum_down(index);
        PiecePrefetcher ahead(job, index + 1, rows.first[end - 1] + rows.taps - 1);
        sum_across(pairs, job, sums, ahead, lines, pitch);
        held[slot] = index;
      }
      const float* weight = rows.weight + static_cast<int64_t>(row) * rows.stride + 2 * k;
      pieces[count++] = {lines, weight[0], weight[1]};
      if (count < sizes.count || k + 1 == rows.taps) continue;
      for (int32_t x = 0; x < job.columns.count; x += 8) {  // more pieces than there are slots: one at a time
        for (int c = 0; c < kChannels; ++c) {
          float* line = partial + c * pitch + x;
          store(line, add_pieces(pieces, count, pitch, c, x, fresh ? zero() : load(line)));
        }
      }
      fresh = false;
      count = 0;
    }
    const auto write = [&](auto sum) EV_INLINE_LAMBDA {
      write_row(job, row, [&](int32_t first, int32_t last, const FloatRows& floats) EV_INLINE_LAMBDA {
        const Target out = normalise.target(floats);
        for (int32_t x = first; x < last; x += 8) {
          F8 pixel[3];
          for (int c = 0; c < kChannels; ++c) pixel[c] = sum(c, x);
          if (kChannels == 1) pixel[1] = pixel[2] = pixel[0];
          normalise(pixel, out, x - first, last - x);
        }
      });
    };
    if (rows.taps == 2) {  // as for every reduction by a factor of up to kMaxPieceRows
      write([&](int c, int32_t x) EV_INLINE_LAMBDA {
        const float* line = pieces[0].lines + c * pitch + x;
        const F8 sum = fma(all(pieces[0].slope), load(line + 3 * pitch), multiply(all(pieces[0].value), load(line)));
        return add_pieces(pieces + 1, 1, pitch, c, x, sum);
      });
    } else {
      write([&](int c, int32_t x) EV_INLINE_LAMBDA {
        return add_pieces(pieces, count, pitch, c, x, fresh ? zero() : load(partial + c * pitch + x));
      });
    }
  }
}

// Calls act with a null pointer whose type is the class that sums the columns of that format.
template <typename Do>
inline auto with_sums(Format format, Do act) {
  switch (format) {
    case Format::gray: return act(static_cast<ByteColumnSums<1>*>(nullptr));
    case Format::bgra: return act(static_cast<ByteColumnSums<4>*>(nullptr));
    case Format::nv12: return act(static_cast<YuvColumnSums<Format::nv12>*>(nullptr));
    case Format::i420: return act(static_cast<YuvColumnSums<Format::i420>*>(nullptr));
    case Format::yuyv: return act(static_cast<YuvColumnSums<Format::yuyv>*>(nullptr));
    default: return act(static_cast<ByteColumnSums<3>*>(nullptr));
  }
}

inline void piecewise_linear_picture(const RowJob& job, int32_t begin, int32_t end, uint8_t* scratch) {
  with_sums(job.format, [&](auto* kind) {
    piecewise_linear_picture_of<std::remove_pointer_t<decltype(kind)>>(job, begin, end, scratch);
  });
}

inline size_t piecewise_linear_scratch_bytes(const RowJob& job) {
  return Slots(job).bytes() + with_sums(job.format, [&](auto* kind) {
           return std::remove_pointer_t<decltype(kind)>::scratch_bytes(job);
         });
}

}  // namespace edgevision::EV_ISA
