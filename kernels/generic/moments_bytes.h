// Column sums of packed bytes: int16, two lines with the channels interleaved as in the frame.
#pragma once

#include "shade.h"

namespace edgevision::EV_ISA {

template <int kStep>
class ByteColumns {
 public:
  static constexpr int kChannels = kStep == 1 ? 1 : 3;
  static constexpr bool kNarrow = kStep > 1;  // whether there are loops for narrow segments of columns

  // Vectors read as much as this behind a segment of columns, and write as much as this behind a row.
  static constexpr int64_t kMargin = 32;

  static int64_t line_length(const RowJob& job) {
    const Axis& columns = job.columns;
    return ((columns.segment[columns.segments] - columns.segment[0]) * kStep + 2 * kMargin + 31) / 32 * 32;
  }
  static size_t scratch_bytes(const RowJob& job) { return static_cast<size_t>(2 * line_length(job)) * sizeof(int16_t); }

  ByteColumns(const RowJob& job, uint8_t* scratch)
      : job_(job), mass_(reinterpret_cast<int16_t*>(scratch)), moment_(mass_ + line_length(job)) {
    std::memset(scratch, 0, scratch_bytes(job));  // no pixel, no weight
  }

  // Sum the rows of segment `index` down its columns.
  void sum_down(int32_t index) {
    const Axis &columns = job_.columns, &rows = job_.rows;
    const int32_t origin = columns.segment[0];
    const int32_t left = std::max(origin, columns.low), right = std::min(columns.segment[columns.segments], columns.high);
    const int32_t count = (right - left) * kStep;
    const int32_t begin = rows.segment[index];
    const int32_t top = std::max(begin, rows.low), bottom = std::min(rows.segment[index + 1], rows.high);
    int16_t* mass = mass_ + static_cast<int64_t>(left - origin) * kStep;
    int16_t* moment = moment_ + static_cast<int64_t>(left - origin) * kStep;
    if (top >= bottom) {  // a part of the triangle that lies outside the frame
      std::memset(mass, 0, static_cast<size_t>(count) * sizeof(int16_t));
      std::memset(moment, 0, static_cast<size_t>(count) * sizeof(int16_t));
      return;
    }
    const uint8_t* row[kSegmentRows];
    for (int32_t y = top; y < bottom; ++y) {
      row[y - top] = job_.plane[0] + y * job_.pitch[0] + static_cast<int64_t>(left) * kStep;
    }
    if (count >= 32) return sum_rows(row, bottom - top, top - begin, count, mass, moment);
    for (int32_t i = 0; i < count; ++i) {
      int32_t sum = 0, weighted = 0;
      for (int32_t r = 0; r < bottom - top; ++r) {
        sum += row[r][i];
        weighted += (r + top - begin) * row[r][i];
      }
      mass[i] = static_cast<int16_t>(sum);
      moment[i] = static_cast<int16_t>(weighted);
    }
  }

  // Whether sums of segments of `pairs` pairs of columns and of two more fit an int16, place by place of a pair.
  static bool fits(int32_t rows, int32_t pairs) {
    const int32_t largest = 255 * std::max(rows, rows * (rows - 1) / 2);
    return largest * std::max(pairs + 1, pairs * (pairs + 1) / 2) <= 32767;
  }

  template <int kPairs>
  EV_INLINE void sum_segment(int32_t segment, F8* mass, F8* moment) const {
    const int32_t* begin = job_.columns.segment + segment;
    const int64_t at = static_cast<int64_t>(begin[0] - job_.columns.segment[0]) * kStep;
    if constexpr (kPairs < 0) sum_columns<kStep>(mass_ + at, moment_ + at, begin[1] - begin[0], mass, moment);
    else sum_columns_narrow<kStep, kPairs>(mass_ + at, moment_ + at, begin[1] - begin[0], mass, moment);
  }

 private:
  const RowJob& job_;
  int16_t *mass_, *moment_;
};

}  // namespace edgevision::EV_ISA
