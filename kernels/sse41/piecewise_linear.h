// The sums of generic/piecewise_linear_bytes.h: down the columns of a piece, then along its row.
#pragma once

#include <algorithm>

#include "vector.h"

namespace edgevision::sse41 {

// sum_rows for a known number of rows, or for any (kRows = 0).
template <int kRows>
inline void sum_rows_of(const uint8_t* const* row, int32_t any_rows, int32_t offset, int32_t count, int16_t* sum,
                        int16_t* weighted) {
  const int32_t rows = kRows > 0 ? kRows : any_rows;
  const auto put = [](int16_t* p, __m128i low, __m128i high) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), high);
  };
  const __m128i ones = _mm_set1_epi8(1);
  for (int32_t i = 0;; i = std::min(i + 16, count - 16)) {  // the last vector may overlap the one before
    __m128i sum_low = _mm_setzero_si128(), sum_high = sum_low, weighted_low = sum_low, weighted_high = sum_low;
    if (rows & 1) {
      const __m128i a = load16(row[0] + i);
      sum_low = _mm_unpacklo_epi8(a, _mm_setzero_si128());
      sum_high = _mm_unpackhi_epi8(a, _mm_setzero_si128());
      if (kRows == 0) {
        const __m128i factor = _mm_set1_epi16(static_cast<int16_t>(offset));
        weighted_low = _mm_mullo_epi16(sum_low, factor);
        weighted_high = _mm_mullo_epi16(sum_high, factor);
      }
    }
    for (int32_t r = rows & 1; r < rows; r += 2) {
      const __m128i a = load16(row[r] + i), b = load16(row[r + 1] + i);
      const __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
      const int32_t position = kRows > 0 ? r : offset + r;
      const __m128i positions = _mm_set1_epi16(static_cast<int16_t>((position + 1) << 8 | position));
      sum_low = _mm_add_epi16(sum_low, _mm_maddubs_epi16(low, ones));
      sum_high = _mm_add_epi16(sum_high, _mm_maddubs_epi16(high, ones));
      weighted_low = _mm_add_epi16(weighted_low, _mm_maddubs_epi16(low, positions));
      weighted_high = _mm_add_epi16(weighted_high, _mm_maddubs_epi16(high, positions));
    }
    put(sum + i, sum_low, sum_high);
    put(weighted + i, weighted_low, weighted_high);
    if (i == count - 16) return;
  }
}

// Sums down each of `count` ≥ 32 columns of bytes. `offset`: the position of row[0] in its piece.
// sum[i] = Σ row[r][i], weighted[i] = Σ (offset + r)·row[r][i]; both fit an int16 (kMaxPieceRows).
inline void sum_rows(const uint8_t* const* row, int32_t rows, int32_t offset, int32_t count, int16_t* sum,
                     int16_t* weighted) {
  switch (offset == 0 ? rows : 0) {
    case 2: return sum_rows_of<2>(row, rows, offset, count, sum, weighted);
    case 3: return sum_rows_of<3>(row, rows, offset, count, sum, weighted);
    case 4: return sum_rows_of<4>(row, rows, offset, count, sum, weighted);
    case 5: return sum_rows_of<5>(row, rows, offset, count, sum, weighted);
    case 6: return sum_rows_of<6>(row, rows, offset, count, sum, weighted);
    default: return sum_rows_of<0>(row, rows, offset, count, sum, weighted);
  }
}

// Two pixels of int16, three channels of which are wanted: each channel's two samples side by side.
template <int kStep>
EV_ALWAYS __m128i in_pairs(__m128i two) {
  static_assert(kStep == 3 || kStep == 4);
  return _mm_shuffle_epi8(two, kStep == 3 ? _mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1)
                                          : _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, -1, -1, -1, -1));
}

// A line of sum_columns.
template <int kStep>
EV_ALWAYS void sum_line(const int16_t* line, int32_t width, __m128* sum, __m128* weighted) {
  __m128i total = _mm_setzero_si128(), weighted_total = total, position = _mm_set1_epi32(1 << 16);
  int32_t x = 0;
  for (; x + 2 <= width; x += 2) {
    const __m128i v = in_pairs<kStep>(load16(line + x * kStep));
    total = _mm_add_epi32(total, _mm_madd_epi16(v, _mm_set1_epi16(1)));
    weighted_total = _mm_add_epi32(weighted_total, _mm_madd_epi16(v, position));
    position = _mm_add_epi16(position, _mm_set1_epi16(2));
  }
  if (x < width) {
    const __m128i v = _mm_and_si128(in_pairs<kStep>(load16(line + x * kStep)), _mm_set1_epi32(0xffff));
    total = _mm_add_epi32(total, v);
    weighted_total = _mm_add_epi32(weighted_total, _mm_madd_epi16(v, position));
  }
  *sum = _mm_cvtepi32_ps(total);
  *weighted = _mm_cvtepi32_ps(weighted_total);
}

// The same for one channel, in lane 0.
template <>
EV_ALWAYS void sum_line<1>(const int16_t* line, int32_t width, __m128* sum, __m128* weighted) {
  __m128i total = _mm_setzero_si128(), weighted_total = total, position = _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7);
  for (int32_t x = 0; x < width; x += 8) {
    const __m128i inside = _mm_cmpgt_epi16(_mm_set1_epi16(static_cast<int16_t>(width)), position);
    const __m128i v = _mm_and_si128(load16(line + x), inside);
    total = _mm_add_epi32(total, _mm_madd_epi16(v, _mm_set1_epi16(1)));
    weighted_total = _mm_add_epi32(weighted_total, _mm_madd_epi16(v, position));
    position = _mm_add_epi16(position, _mm_set1_epi16(8));
  }
  const __m128i halves = _mm_hadd_epi32(total, weighted_total), both = _mm_hadd_epi32(halves, halves);
  *sum = _mm_cvtepi32_ps(both);
  *weighted = _mm_cvtepi32_ps(_mm_srli_epi64(both, 32));
}

// Sums `width` pixels of kStep channels along two lines of int16 at once. Lanes 0…2 of `sum`: the channels of line `a`;
// lanes 4…6: those of `b`; lanes 3 and 7 are unused. `weighted`: the same, each pixel times its position 0 … width - 1.
// Reads 16 bytes from each pixel on.
template <int kStep>
inline void sum_columns(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* weighted) {
  sum_line<kStep>(a, width, &sum->low, &weighted->low);
  sum_line<kStep>(b, width, &sum->high, &weighted->high);
}

// sum_columns for 2·kPairs to 2·kPairs + 2 pixels. It adds in int16, even and odd positions apart: ByteColumnSums::fits
// says when that cannot overflow.
template <int kStep, int kPairs>
inline void sum_columns_narrow(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* weighted) {
  alignas(16) static constexpr int16_t kInside[3][8] = {
      {}, {-1, -1, -1, kStep == 3 ? 0 : -1}, {-1, -1, -1, -1, -1, -1, kStep == 3 ? 0 : -1, kStep == 3 ? 0 : -1}};
  const __m128i inside = load16(kInside[width - 2 * kPairs]);
  const auto line = [inside](const int16_t* p, __m128* sum_of_line, __m128* weighted_of_line) {
    // Σ v and Σ t·v over pairs t, without multiplying: from the last pair to the first, the partial sums of Σ v add up
    // to Σ t·v.
    __m128i total = _mm_and_si128(load16(p + 2 * kPairs * kStep), inside);
    __m128i weighted_total = kPairs > 0 ? total : _mm_setzero_si128();
    for (int t = kPairs - 1; t > 0; --t) {
      total = _mm_add_epi16(total, load16(p + 2 * t * kStep));
      weighted_total = _mm_add_epi16(weighted_total, total);
    }
    if (kPairs > 0) total = _mm_add_epi16(total, load16(p));
    const __m128i pairs = in_pairs<kStep>(total), odd = _mm_srli_epi32(pairs, 16);
    const __m128i even_positions = _mm_madd_epi16(in_pairs<kStep>(weighted_total), _mm_set1_epi16(2));
    *sum_of_line = _mm_cvtepi32_ps(_mm_madd_epi16(pairs, _mm_set1_epi16(1)));
    *weighted_of_line = _mm_cvtepi32_ps(_mm_add_epi32(even_positions, odd));
  };
  line(a, &sum->low, &weighted->low);
  line(b, &sum->high, &weighted->high);
}

// Transposes eight vectors: line[0…2] get their lanes 0…2, line[3…5] their lanes 4…6.
inline void transpose6(const F8* in, F8* line) {
  const auto half = [](__m128 a, __m128 b, __m128 c, __m128 d, __m128* x, __m128* y, __m128* z) {
    const __m128 ab = _mm_unpacklo_ps(a, b), cd = _mm_unpacklo_ps(c, d);
    *x = _mm_movelh_ps(ab, cd);
    *y = _mm_movehl_ps(cd, ab);
    *z = _mm_movelh_ps(_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
  };
  half(in[0].low, in[1].low, in[2].low, in[3].low, &line[0].low, &line[1].low, &line[2].low);
  half(in[4].low, in[5].low, in[6].low, in[7].low, &line[0].high, &line[1].high, &line[2].high);
  half(in[0].high, in[1].high, in[2].high, in[3].high, &line[3].low, &line[4].low, &line[5].low);
  half(in[4].high, in[5].high, in[6].high, in[7].high, &line[3].high, &line[4].high, &line[5].high);
}

// The inverse of transpose6: vector i goes to out + 8·i, with zero in lanes 3 and 7.
inline void interleave6(const F8* line, float* out) {
  const auto four = [](__m128 x, __m128 y, __m128 z, float* p) {  // 8 floats from one to the next
    const __m128 none = _mm_setzero_ps();
    const __m128 xy = _mm_unpacklo_ps(x, y), z0 = _mm_unpacklo_ps(z, none);
    const __m128 xy_high = _mm_unpackhi_ps(x, y), z0_high = _mm_unpackhi_ps(z, none);
    _mm_storeu_ps(p, _mm_movelh_ps(xy, z0));
    _mm_storeu_ps(p + 8, _mm_movehl_ps(z0, xy));
    _mm_storeu_ps(p + 16, _mm_movelh_ps(xy_high, z0_high));
    _mm_storeu_ps(p + 24, _mm_movehl_ps(z0_high, xy_high));
  };
  four(line[0].low, line[1].low, line[2].low, out);
  four(line[0].high, line[1].high, line[2].high, out + 32);
  four(line[3].low, line[4].low, line[5].low, out + 4);
  four(line[3].high, line[4].high, line[5].high, out + 36);
}

}  // namespace edgevision::sse41
