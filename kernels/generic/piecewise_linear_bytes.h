// Sums of packed bytes, down the columns of a piece of rows: two lines of int16, Σ p and Σ y·p of each column, with the
// channels interleaved as in the frame.
#pragma once

#include "normalise.h"

namespace edgevision::EV_ISA {

template <int kStep>
class ByteColumnSums {
 public:
  static constexpr int kChannels = kStep == 1 ? 1 : 3;
  static constexpr bool kNarrow = kStep > 1;  // whether there are loops for narrow pieces of columns

  // Elements of a line that vectors may read behind a piece of columns, and write behind a row.
  static constexpr int64_t kMargin = 32;

  static int64_t line_length(const RowJob& job) {
    const Axis& columns = job.columns;
    return ((columns.knot[columns.pieces] - columns.knot[0]) * kStep + 2 * kMargin + 31) / 32 * 32;
  }
  static size_t scratch_bytes(const RowJob& job) { return static_cast<size_t>(2 * line_length(job)) * sizeof(int16_t); }

  ByteColumnSums(const RowJob& job, uint8_t* scratch)
      : job_(job), sum_(reinterpret_cast<int16_t*>(scratch)), weighted_(sum_ + line_length(job)) {
    std::memset(scratch, 0, scratch_bytes(job));  // pixels outside the region count as 0
  }

  // Sum the rows of piece `index` down each column: Σ p to sum_, Σ y·p to weighted_, y counted from the piece's knot.
  void sum_down(int32_t index) {
    const Axis &columns = job_.columns, &rows = job_.rows;
    const int32_t origin = columns.knot[0];
    const int32_t left = std::max(origin, columns.low), right = std::min(columns.knot[columns.pieces], columns.high);
    const int32_t count = (right - left) * kStep;
    const int32_t knot = rows.knot[index];
    const int32_t top = std::max(knot, rows.low), bottom = std::min(rows.knot[index + 1], rows.high);
    int16_t* sum = sum_ + static_cast<int64_t>(left - origin) * kStep;
    int16_t* weighted = weighted_ + static_cast<int64_t>(left - origin) * kStep;
    if (top >= bottom) {  // this part of the filter lies outside the region
      std::memset(sum, 0, static_cast<size_t>(count) * sizeof(int16_t));
      std::memset(weighted, 0, static_cast<size_t>(count) * sizeof(int16_t));
      return;
    }
    const uint8_t* row[kMaxPieceRows];
    for (int32_t y = top; y < bottom; ++y) {
      row[y - top] = job_.plane[0] + y * job_.pitch[0] + static_cast<int64_t>(left) * kStep;
    }
    if (count >= 32) return sum_rows(row, bottom - top, top - knot, count, sum, weighted);
    for (int32_t i = 0; i < count; ++i) {
      int32_t total = 0, weighted_total = 0;
      for (int32_t r = 0; r < bottom - top; ++r) {
        total += row[r][i];
        weighted_total += (r + top - knot) * row[r][i];
      }
      sum[i] = static_cast<int16_t>(total);
      weighted[i] = static_cast<int16_t>(weighted_total);
    }
  }

  // Whether sum_columns_narrow's sums fit an int16, for pieces of `rows` rows and up to 2·pairs + 2 columns. It adds
  // the columns at even and at odd positions apart: up to pairs + 1 of each, pair t counted t times.
  static bool fits(int32_t rows, int32_t pairs) {
    const int32_t largest = 255 * std::max(rows, rows * (rows - 1) / 2);
    return largest * std::max(pairs + 1, pairs * (pairs + 1) / 2) <= 32767;
  }

  // Sum piece `index` of the columns along the row, for all channels: sum_columns says what goes into which lane.
  template <int kPairs>
  EV_INLINE void sum_piece(int32_t index, F8* sum, F8* weighted) const {
    const int32_t* knot = job_.columns.knot + index;
    const int64_t at = static_cast<int64_t>(knot[0] - job_.columns.knot[0]) * kStep;
    if constexpr (kPairs < 0) sum_columns<kStep>(sum_ + at, weighted_ + at, knot[1] - knot[0], sum, weighted);
    else sum_columns_narrow<kStep, kPairs>(sum_ + at, weighted_ + at, knot[1] - knot[0], sum, weighted);
  }

 private:
  const RowJob& job_;
  int16_t *sum_, *weighted_;
};

}  // namespace edgevision::EV_ISA
