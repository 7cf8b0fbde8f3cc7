// Column sums of Y'CbCr: floats, for each column eight of them: sums of B, G, R, nothing, moments of B, G, R, nothing.
#pragma once

#include "lerp.h"

namespace edgevision::EV_ISA {

template <Format kFormat>
class YuvColumns {
 public:
  static constexpr int kChannels = 3;
  static constexpr bool kNarrow = false;
  static constexpr int64_t kBefore = 1;  // an even column at which vectors start, though it is not wanted

  static int64_t length(const RowJob& job) {
    return job.columns.segment[job.columns.segments] - job.columns.segment[0] + kBefore;
  }
  static size_t scratch_bytes(const RowJob& job) { return static_cast<size_t>(length(job)) * 8 * sizeof(float); }

  YuvColumns(const RowJob& job, uint8_t* scratch)
      : job_(job), convert_(job.yuv), columns_(reinterpret_cast<float*>(scratch) + 8 * kBefore) {
    std::memset(scratch, 0, scratch_bytes(job));  // no pixel, no weight
  }

  void sum_down(int32_t index) {
    const Axis &columns = job_.columns, &rows = job_.rows;
    const int32_t origin = columns.segment[0];
    const int32_t left = std::max(origin, columns.low), right = std::min(columns.segment[columns.segments], columns.high);
    const int32_t begin = rows.segment[index];
    const int32_t top = std::max(begin, rows.low), bottom = std::min(rows.segment[index + 1], rows.high);
    SourceRow row[kSegmentRows];
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
          if (y == top || (y & 1) == 0) {  // else the row before had the same
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
          line[3 + c] = fma_whole(y - begin, pixel[c], line[3 + c]);  // below 2^15, of multiples of 2^-26
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
          sums[4 + c] = fma1(static_cast<float>(y - begin), p.c[c], sums[4 + c]);
        }
      }
    }
    if (left & 1) std::fill_n(columns_ + static_cast<int64_t>(left - 1 - origin) * 8, 8, 0.0f);
  }

  template <int kPairs>
  EV_INLINE void sum_segment(int32_t segment, F8* mass, F8* moment) const {
    const int32_t* begin = job_.columns.segment + segment;
    const float* column = columns_ + static_cast<int64_t>(begin[0] - job_.columns.segment[0]) * 8;
    const float* const end = columns_ + static_cast<int64_t>(begin[1] - job_.columns.segment[0]) * 8;
    F8 sum = zero(), weighted = zero();
    int32_t place = 0;
    // Times 0 … 63, less than 2^11 in all, what is below 2^15 and a multiple of 2^-26 fits 53 bits.
    for (; column < end && place < 64; column += 8, ++place) {
      const F8 v = load(column);
      sum = add(sum, v);
      weighted = fma_whole(place, v, weighted);
    }
    for (; column < end; column += 8, ++place) {
      const F8 v = load(column);
      sum = add(sum, v);
      weighted = fma(all(static_cast<float>(place)), v, weighted);
    }
    *mass = sum;
    *moment = weighted;
  }

 private:
  const RowJob& job_;
  const YuvConverter convert_;
  float* columns_;
};

}  // namespace edgevision::EV_ISA
