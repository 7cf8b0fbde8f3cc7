// Sums of bytes in both directions, for generic/moments.h.
#pragma once

#include <algorithm>

#include "vector.h"

namespace edgevision::sse41 {

// sum_rows for a known number of rows, or for any (kRows = 0).
template <int kRows>
inline void sum_rows_of(const uint8_t* const* row, int32_t any_rows, int32_t index, int32_t count, int16_t* mass,
                        int16_t* moment) {
  const int32_t rows = kRows > 0 ? kRows : any_rows;
  const auto put = [](int16_t* p, __m128i low, __m128i high) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), high);
  };
  const __m128i ones = _mm_set1_epi8(1);
  for (int32_t i = 0;; i = std::min(i + 16, count - 16)) {  // the last columns twice rather than one by one
    __m128i mass_low = _mm_setzero_si128(), mass_high = mass_low, moment_low = mass_low, moment_high = mass_low;
    if (rows & 1) {
      const __m128i a = load16(row[0] + i);
      mass_low = _mm_unpacklo_epi8(a, _mm_setzero_si128());
      mass_high = _mm_unpackhi_epi8(a, _mm_setzero_si128());
      if (kRows == 0) {
        const __m128i factor = _mm_set1_epi16(static_cast<int16_t>(index));
        moment_low = _mm_mullo_epi16(mass_low, factor);
        moment_high = _mm_mullo_epi16(mass_high, factor);
      }
    }
    for (int32_t r = rows & 1; r < rows; r += 2) {
      const __m128i a = load16(row[r] + i), b = load16(row[r + 1] + i);
      const __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
      const int32_t place = kRows > 0 ? r : index + r;
      const __m128i places = _mm_set1_epi16(static_cast<int16_t>((place + 1) << 8 | place));
      mass_low = _mm_add_epi16(mass_low, _mm_maddubs_epi16(low, ones));
      mass_high = _mm_add_epi16(mass_high, _mm_maddubs_epi16(high, ones));
      moment_low = _mm_add_epi16(moment_low, _mm_maddubs_epi16(low, places));
      moment_high = _mm_add_epi16(moment_high, _mm_maddubs_epi16(high, places));
    }
    put(mass + i, mass_low, mass_high);
    put(moment + i, moment_low, moment_high);
    if (i == count - 16) return;
  }
}

// Column i of `count` ≥ 32 columns of bytes: mass[i] = Σ row[r][i], moment[i] = Σ (index + r)·row[r][i], which fit.
inline void sum_rows(const uint8_t* const* row, int32_t rows, int32_t index, int32_t count, int16_t* mass,
                     int16_t* moment) {
  switch (index == 0 ? rows : 0) {
    case 2: return sum_rows_of<2>(row, rows, index, count, mass, moment);
    case 3: return sum_rows_of<3>(row, rows, index, count, mass, moment);
    case 4: return sum_rows_of<4>(row, rows, index, count, mass, moment);
    case 5: return sum_rows_of<5>(row, rows, index, count, mass, moment);
    case 6: return sum_rows_of<6>(row, rows, index, count, mass, moment);
    default: return sum_rows_of<0>(row, rows, index, count, mass, moment);
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
EV_ALWAYS void sum_line(const int16_t* line, int32_t width, __m128* sum, __m128* moment) {
  __m128i total = _mm_setzero_si128(), first = total, place = _mm_set1_epi32(1 << 16);
  int32_t x = 0;
  for (; x + 2 <= width; x += 2) {
    const __m128i v = in_pairs<kStep>(load16(line + x * kStep));
    total = _mm_add_epi32(total, _mm_madd_epi16(v, _mm_set1_epi16(1)));
    first = _mm_add_epi32(first, _mm_madd_epi16(v, place));
    place = _mm_add_epi16(place, _mm_set1_epi16(2));
  }
  if (x < width) {
    const __m128i v = _mm_and_si128(in_pairs<kStep>(load16(line + x * kStep)), _mm_set1_epi32(0xffff));
    total = _mm_add_epi32(total, v);
    first = _mm_add_epi32(first, _mm_madd_epi16(v, place));
  }
  *sum = _mm_cvtepi32_ps(total);
  *moment = _mm_cvtepi32_ps(first);
}

// The same for one channel, in lane 0.
template <>
EV_ALWAYS void sum_line<1>(const int16_t* line, int32_t width, __m128* sum, __m128* moment) {
  __m128i total = _mm_setzero_si128(), first = total, place = _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7);
  for (int32_t x = 0; x < width; x += 8) {
    const __m128i inside = _mm_cmpgt_epi16(_mm_set1_epi16(static_cast<int16_t>(width)), place);
    const __m128i v = _mm_and_si128(load16(line + x), inside);
    total = _mm_add_epi32(total, _mm_madd_epi16(v, _mm_set1_epi16(1)));
    first = _mm_add_epi32(first, _mm_madd_epi16(v, place));
    place = _mm_add_epi16(place, _mm_set1_epi16(8));
  }
  const __m128i halves = _mm_hadd_epi32(total, first), both = _mm_hadd_epi32(halves, halves);
  *sum = _mm_cvtepi32_ps(both);
  *moment = _mm_cvtepi32_ps(_mm_srli_epi64(both, 32));
}

// Sums along `width` pixels of kStep channels, of two lines of int16 at once. Lanes of `sum`: the channels of `a`, of
// which three count, then those of `b`; of `moment`: the same, each pixel times its place. Reads 16 bytes from each
// pixel on.
template <int kStep>
inline void sum_columns(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* moment) {
  sum_line<kStep>(a, width, &sum->low, &moment->low);
  sum_line<kStep>(b, width, &sum->high, &moment->high);
}

// sum_columns for 2·kPairs to 2·kPairs + 2 pixels whose sums, place by place of a pair, fit an int16.
template <int kStep, int kPairs>
inline void sum_columns_narrow(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* moment) {
  alignas(16) static constexpr int16_t kInside[3][8] = {
      {}, {-1, -1, -1, kStep == 3 ? 0 : -1}, {-1, -1, -1, -1, -1, -1, kStep == 3 ? 0 : -1, kStep == 3 ? 0 : -1}};
  const __m128i inside = load16(kInside[width - 2 * kPairs]);
  const auto line = [inside](const int16_t* p, __m128* sum_of_line, __m128* moment_of_line) {
    // Σ v and Σ t·v over pairs t: adding up from the last, the second is the sum of the first's partial sums.
    __m128i total = _mm_and_si128(load16(p + 2 * kPairs * kStep), inside);
    __m128i first = kPairs > 0 ? total : _mm_setzero_si128();
    for (int t = kPairs - 1; t > 0; --t) {
      total = _mm_add_epi16(total, load16(p + 2 * t * kStep));
      first = _mm_add_epi16(first, total);
    }
    if (kPairs > 0) total = _mm_add_epi16(total, load16(p));
    const __m128i pairs = in_pairs<kStep>(total), odd = _mm_srli_epi32(pairs, 16);
    const __m128i even_place = _mm_madd_epi16(in_pairs<kStep>(first), _mm_set1_epi16(2));
    *sum_of_line = _mm_cvtepi32_ps(_mm_madd_epi16(pairs, _mm_set1_epi16(1)));
    *moment_of_line = _mm_cvtepi32_ps(_mm_add_epi32(even_place, odd));
  };
  line(a, &sum->low, &moment->low);
  line(b, &sum->high, &moment->high);
}

// Lanes 0…2 and 4…6 of eight vectors: line i = lane i (or i + 1 from 3 on) of each.
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

// The way back: vector i of eight, lanes 0…2 and 4…6 of which are lane i of the lines, to out + 8·i.
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
