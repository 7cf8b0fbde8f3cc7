// Sums of Y'CbCr, down the columns of a piece of rows: eight floats for each column, Σ p of B, G, R, one unused, Σ y·p
// of B, G, R, one unused.
#pragma once

#include "lerp.h"

namespace edgevision::EV_ISA {

template <Format kFormat>
class YuvColumnSums {
 public:
  static constexpr int kChannels = 3;
  static constexpr bool kNarrow = false;
  static constexpr int64_t kBefore = 1;  // vectors start at an even column, maybe one before the first needed

  static int64_t length(const RowJob& job) {
    return job.columns.knot[job.columns.pieces] - job.columns.knot[0] + kBefore;
  }
  static size_t scratch_bytes(const RowJob& job) { return static_cast<size_t>(length(job)) * 8 * sizeof(float); }

  YuvColumnSums(const RowJob& job, uint8_t* scratch)
      : job_(job), convert_(job.yuv), columns_(reinterpret_cast<float*>(scratch) + 8 * kBefore) {
    std::memset(scratch, 0, scratch_bytes(job));  // pixels outside the region count as 0
  }

  // Sum the rows of piece `index` down each column.
  void sum_down(int32_t index) {
    const Axis &columns = job_.columns, &rows = job_.rows;
    const int32_t origin = columns.knot[0];
    const int32_t left = std::max(origin, columns.low), right = std::min(columns.knot[columns.pieces], columns.high);
    const int32_t knot = rows.knot[index];
    const int32_t top = std::max(knot, rows.low), bottom = std::min(rows.knot[index + 1], rows.high);
    SourceRow row[kMaxPieceRows];
    for (int32_t y = top; y < bottom; ++y) row[y - top] = source_row(job_, y);

    int32_t x = left & ~1;
    for (; x + 8 <= right; x += 8) {
      F8 line[6] = {zero(), zero(), zero(), zero(), zero(), zero()}, chroma[3] = {zero(), zero(), zero()}, pixel[3];
      for (int32_t y = top; y < bottom; ++y) {
        const SourceRow& from = row[y - top];
        F8 luma;
        if constexpr (kFormat == Format::yuyv) {
          F8 cb, cr;
          from_yuyv(from.plane[0] + 2 * x, &luma, &cb, &cr);
          convert_.chroma(cb, cr, chroma);
        } else {
          luma = from_bytes(from.plane[0] + x);
          if (y == top || (y & 1) == 0) {  // an odd row has the chroma of the row before
            F8 cb, cr;
            if constexpr (kFormat == Format::nv12) {
              from_pairs(from.plane[1] + x, &cb, &cr);
            } else {
              cb = from_bytes_twice(from.plane[1] + x / 2);
              cr = from_bytes_twice(from.plane[2] + x / 2);
            }
            convert_.chroma(cb, cr, chroma);
          }
        }
        convert_.pixel(luma, chroma, pixel);
        for (int c = 0; c < 3; ++c) {
          line[c] = add(line[c], pixel[c]);
          line[3 + c] = fma_whole(y - knot, pixel[c], line[3 + c]);  // exact in float64: multiples of 2^-26 below 2^15
        }
      }
      interleave6(line, columns_ + static_cast<int64_t>(x - origin) * 8);
    }
    for (; x < right; ++x) {
      float* sums = columns_ + static_cast<int64_t>(x - origin) * 8;
      std::fill(sums, sums + 8, 0.0f);
      for (int32_t y = top; y < bottom; ++y) {
        const Pixel p = pixel_of_row(kFormat, row[y - top].plane, x, job_.yuv);
        for (int c = 0; c < 3; ++c) {
          sums[c] += p.c[c];
          sums[4 + c] = fma1(static_cast<float>(y - knot), p.c[c], sums[4 + c]);
        }
      }
    }
    if (left & 1) std::fill_n(columns_ + static_cast<int64_t>(left - 1 - origin) * 8, 8, 0.0f);
  }

  // Sum piece `index` of the columns along the row. kPairs is there for the sake of ByteColumnSums, which has the same.
  template <int kPairs>
  EV_INLINE void sum_piece(int32_t index, F8* sum, F8* weighted) const {
    const int32_t* knot = job_.columns.knot + index;
    const float* column = columns_ + static_cast<int64_t>(knot[0] - job_.columns.knot[0]) * 8;
    const float* const end = columns_ + static_cast<int64_t>(knot[1] - job_.columns.knot[0]) * 8;
    F8 total = zero(), weighted_total = zero();
    int32_t position = 0;
    // Column sums are multiples of 2^-26 below 2^15. The positions 0 … 63 add up to less than 2^11, so that the
    // weighted sum fits the 53 bits of float64.
    for (; column < end && position < 64; column += 8, ++position) {
      const F8 v = load(column);
      total = add(total, v);
      weighted_total = fma_whole(position, v, weighted_total);
    }
    for (; column < end; column += 8, ++position) {
      const F8 v = load(column);
      total = add(total, v);
      weighted_total = fma(all(static_cast<float>(position)), v, weighted_total);
    }
    *sum = total;
    *weighted = weighted_total;
  }

 private:
  const RowJob& job_;
  const YuvConverter convert_;
  float* columns_;
};

}  // namespace edgevision::EV_ISA
