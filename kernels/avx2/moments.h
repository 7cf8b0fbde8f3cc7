// Sums of bytes in both directions, for generic/moments.h.
#pragma once

#include <algorithm>

#include "vector.h"

namespace edgevision::avx2 {

// sum_rows for a known number of rows, or for any (kRows = 0).
template <int kRows>
inline void sum_rows_of(const uint8_t* const* row, int32_t any_rows, int32_t index, int32_t count, int16_t* mass,
                        int16_t* moment) {
  const int32_t rows = kRows > 0 ? kRows : any_rows;
  const auto bytes = [&](int32_t r, int32_t i) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row[r] + i));
  };
  // Two 128-bit halves, each in the order of the columns: from [0…7, 16…23] and [8…15, 24…31].
  const auto put = [](int16_t* p, __m256i low, __m256i high) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 16), _mm256_permute2x128_si256(low, high, 0x31));
  };
  const __m256i ones = _mm256_set1_epi8(1);
  for (int32_t i = 0;; i = std::min(i + 32, count - 32)) {  // the last columns twice rather than one by one
    __m256i mass_low = _mm256_setzero_si256(), mass_high = mass_low, moment_low = mass_low, moment_high = mass_low;
    if (rows & 1) {
      const __m256i a = bytes(0, i);
      mass_low = _mm256_unpacklo_epi8(a, _mm256_setzero_si256());
      mass_high = _mm256_unpackhi_epi8(a, _mm256_setzero_si256());
      if (kRows == 0) {
        const __m256i factor = _mm256_set1_epi16(static_cast<int16_t>(index));
        moment_low = _mm256_mullo_epi16(mass_low, factor);
        moment_high = _mm256_mullo_epi16(mass_high, factor);
      }
    }
    for (int32_t r = rows & 1; r < rows; r += 2) {
      const __m256i a = bytes(r, i), b = bytes(r + 1, i);
      const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
      const int32_t place = kRows > 0 ? r : index + r;
      const __m256i places = _mm256_set1_epi16(static_cast<int16_t>((place + 1) << 8 | place));
      mass_low = _mm256_add_epi16(mass_low, _mm256_maddubs_epi16(low, ones));
      mass_high = _mm256_add_epi16(mass_high, _mm256_maddubs_epi16(high, ones));
      moment_low = _mm256_add_epi16(moment_low, _mm256_maddubs_epi16(low, places));
      moment_high = _mm256_add_epi16(moment_high, _mm256_maddubs_epi16(high, places));
    }
    put(mass + i, mass_low, mass_high);
    put(moment + i, moment_low, moment_high);
    if (i == count - 32) return;
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
inline __m256i pair_order() {
  static_assert(kStep == 3 || kStep == 4);
  if (kStep == 3) {
    return _mm256_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1,  //
                            0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
  }
  return _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, -1, -1, -1, -1,  //
                          0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, -1, -1, -1, -1);
}

// Sums along `width` pixels of kStep channels, of two lines of int16 at once. Lanes of `sum`: the channels of `a`, of
// which three count, then those of `b`; of `moment`: the same, each pixel times its place. Reads 16 pixels past the end.
template <int kStep>
inline void sum_columns(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* moment) {
  const auto two = [&](int32_t x) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + x * kStep));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + x * kStep));
    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), pair_order<kStep>());
  };
  __m256i total = _mm256_setzero_si256(), first = total;
  __m256i place = _mm256_set1_epi32(1 << 16);
  const __m256i ones = _mm256_set1_epi16(1);
  int32_t x = 0;
  for (; x + 2 <= width; x += 2) {
    const __m256i v = two(x);
    total = _mm256_add_epi32(total, _mm256_madd_epi16(v, ones));
    first = _mm256_add_epi32(first, _mm256_madd_epi16(v, place));
    place = _mm256_add_epi16(place, _mm256_set1_epi16(2));
  }
  if (x < width) {
    const __m256i v = _mm256_and_si256(two(x), _mm256_set1_epi32(0xffff));
    total = _mm256_add_epi32(total, v);
    first = _mm256_add_epi32(first, _mm256_madd_epi16(v, place));
  }
  *sum = _mm256_cvtepi32_ps(total);
  *moment = _mm256_cvtepi32_ps(first);
}

// The same for one channel, in lanes 0 and 4.
template <>
inline void sum_columns<1>(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* moment) {
  __m256i total = _mm256_setzero_si256(), first = total;
  __m256i place = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
  for (int32_t x = 0; x < width; x += 8) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + x));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + x));
    const __m256i inside = _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<int16_t>(width)), place);
    const __m256i v = _mm256_and_si256(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), inside);
    total = _mm256_add_epi32(total, _mm256_madd_epi16(v, _mm256_set1_epi16(1)));
    first = _mm256_add_epi32(first, _mm256_madd_epi16(v, place));
    place = _mm256_add_epi16(place, _mm256_set1_epi16(8));
  }
  const __m256i halves = _mm256_hadd_epi32(total, first);
  const __m256i both = _mm256_hadd_epi32(halves, halves);
  *sum = _mm256_cvtepi32_ps(both);
  *moment = _mm256_cvtepi32_ps(_mm256_srli_epi64(both, 32));
}

// sum_columns for 2·kPairs to 2·kPairs + 2 pixels whose sums, place by place of a pair, fit an int16.
template <int kStep, int kPairs>
inline void sum_columns_narrow(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* moment) {
  alignas(16) static constexpr int16_t kInside[3][8] = {
      {}, {-1, -1, -1, kStep == 3 ? 0 : -1}, {-1, -1, -1, -1, -1, -1, kStep == 3 ? 0 : -1, kStep == 3 ? 0 : -1}};
  const auto two = [&](int x) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + x * kStep));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + x * kStep));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  };
  const __m256i inside = _mm256_broadcastsi128_si256(
      _mm_load_si128(reinterpret_cast<const __m128i*>(kInside[width - 2 * kPairs])));
  // Σ v and Σ t·v over pairs t: adding up from the last, the second is the sum of the first's partial sums.
  __m256i total = _mm256_and_si256(two(2 * kPairs), inside), first = kPairs > 0 ? total : _mm256_setzero_si256();
  for (int t = kPairs - 1; t > 0; --t) {
    total = _mm256_add_epi16(total, two(2 * t));
    first = _mm256_add_epi16(first, total);
  }
  if (kPairs > 0) total = _mm256_add_epi16(total, two(0));
  const __m256i pairs = _mm256_shuffle_epi8(total, pair_order<kStep>());
  const __m256i odd = _mm256_srli_epi32(pairs, 16);
  const __m256i even_place = _mm256_madd_epi16(_mm256_shuffle_epi8(first, pair_order<kStep>()), _mm256_set1_epi16(2));
  *sum = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  *moment = _mm256_cvtepi32_ps(_mm256_add_epi32(even_place, odd));
}

// Lanes 0…2 and 4…6 of eight vectors: line i = lane i (or i + 1 from 3 on) of each.
inline void transpose6(const F8* in, F8* line) {
  const auto quarter = [&](int i) { return _mm256_unpacklo_ps(in[i], in[i + 1]); };
  const auto third = [&](int i) { return _mm256_unpackhi_ps(in[i], in[i + 1]); };
  const F8 a = _mm256_shuffle_ps(quarter(0), quarter(2), _MM_SHUFFLE(1, 0, 1, 0));
  const F8 b = _mm256_shuffle_ps(quarter(4), quarter(6), _MM_SHUFFLE(1, 0, 1, 0));
  const F8 c = _mm256_shuffle_ps(quarter(0), quarter(2), _MM_SHUFFLE(3, 2, 3, 2));
  const F8 d = _mm256_shuffle_ps(quarter(4), quarter(6), _MM_SHUFFLE(3, 2, 3, 2));
  const F8 e = _mm256_shuffle_ps(third(0), third(2), _MM_SHUFFLE(1, 0, 1, 0));
  const F8 f = _mm256_shuffle_ps(third(4), third(6), _MM_SHUFFLE(1, 0, 1, 0));
  line[0] = _mm256_permute2f128_ps(a, b, 0x20);
  line[1] = _mm256_permute2f128_ps(c, d, 0x20);
  line[2] = _mm256_permute2f128_ps(e, f, 0x20);
  line[3] = _mm256_permute2f128_ps(a, b, 0x31);
  line[4] = _mm256_permute2f128_ps(c, d, 0x31);
  line[5] = _mm256_permute2f128_ps(e, f, 0x31);
}

// The way back: vector i of eight, lanes 0…2 and 4…6 of which are lane i of the lines, to out + 8·i.
inline void interleave6(const F8* line, float* out) {
  const auto put = [&](int i, F8 sums, F8 moments) {  // vectors i and i + 4
    store(out + 8 * i, _mm256_permute2f128_ps(sums, moments, 0x20));
    store(out + 8 * (i + 4), _mm256_permute2f128_ps(sums, moments, 0x31));
  };
  const auto two = [](F8 a, F8 b, F8* four) {
    four[0] = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0));
    four[1] = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2));
  };
  F8 sums[4], moments[4];
  two(_mm256_unpacklo_ps(line[0], line[1]), _mm256_unpacklo_ps(line[2], zero()), sums);
  two(_mm256_unpackhi_ps(line[0], line[1]), _mm256_unpackhi_ps(line[2], zero()), sums + 2);
  two(_mm256_unpacklo_ps(line[3], line[4]), _mm256_unpacklo_ps(line[5], zero()), moments);
  two(_mm256_unpackhi_ps(line[3], line[4]), _mm256_unpackhi_ps(line[5], zero()), moments + 2);
  for (int i = 0; i < 4; ++i) put(i, sums[i], moments[i]);
}

}  // namespace edgevision::avx2
