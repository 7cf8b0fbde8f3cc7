// The sums of generic/piecewise_linear_bytes.h: down the columns of a piece, then along its row.
#pragma once

#include <algorithm>

#include "vector.h"

namespace edgevision::avx2 {

// sum_rows for a known number of rows, or for any (kRows = 0).
template <int kRows>
inline void sum_rows_of(const uint8_t* const* row, int32_t any_rows, int32_t offset, int32_t count, int16_t* sum,
                        int16_t* weighted) {
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
  for (int32_t i = 0;; i = std::min(i + 32, count - 32)) {  // the last vector may overlap the one before
    __m256i sum_low = _mm256_setzero_si256(), sum_high = sum_low, weighted_low = sum_low, weighted_high = sum_low;
    if (rows & 1) {
      const __m256i a = bytes(0, i);
      sum_low = _mm256_unpacklo_epi8(a, _mm256_setzero_si256());
      sum_high = _mm256_unpackhi_epi8(a, _mm256_setzero_si256());
      if (kRows == 0) {
        const __m256i factor = _mm256_set1_epi16(static_cast<int16_t>(offset));
        weighted_low = _mm256_mullo_epi16(sum_low, factor);
        weighted_high = _mm256_mullo_epi16(sum_high, factor);
      }
    }
    for (int32_t r = rows & 1; r < rows; r += 2) {
      const __m256i a = bytes(r, i), b = bytes(r + 1, i);
      const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
      const int32_t position = kRows > 0 ? r : offset + r;
      const __m256i positions = _mm256_set1_epi16(static_cast<int16_t>((position + 1) << 8 | position));
      sum_low = _mm256_add_epi16(sum_low, _mm256_maddubs_epi16(low, ones));
      sum_high = _mm256_add_epi16(sum_high, _mm256_maddubs_epi16(high, ones));
      weighted_low = _mm256_add_epi16(weighted_low, _mm256_maddubs_epi16(low, positions));
      weighted_high = _mm256_add_epi16(weighted_high, _mm256_maddubs_epi16(high, positions));
    }
    put(sum + i, sum_low, sum_high);
    put(weighted + i, weighted_low, weighted_high);
    if (i == count - 32) return;
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
inline __m256i pair_order() {
  static_assert(kStep == 3 || kStep == 4);
  if (kStep == 3) {
    return _mm256_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1,  //
                            0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
  }
  return _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, -1, -1, -1, -1,  //
                          0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, -1, -1, -1, -1);
}

// Sums `width` pixels of kStep channels along two lines of int16 at once. Lanes 0…2 of `sum`: the channels of line `a`;
// lanes 4…6: those of `b`; lanes 3 and 7 are unused. `weighted`: the same, each pixel times its position 0 … width - 1.
// Reads 16 bytes from each pixel on.
template <int kStep>
inline void sum_columns(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* weighted) {
  const auto two = [&](int32_t x) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + x * kStep));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + x * kStep));
    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), pair_order<kStep>());
  };
  __m256i total = _mm256_setzero_si256(), weighted_total = total;
  __m256i position = _mm256_set1_epi32(1 << 16);
  const __m256i ones = _mm256_set1_epi16(1);
  int32_t x = 0;
  for (; x + 2 <= width; x += 2) {
    const __m256i v = two(x);
    total = _mm256_add_epi32(total, _mm256_madd_epi16(v, ones));
    weighted_total = _mm256_add_epi32(weighted_total, _mm256_madd_epi16(v, position));
    position = _mm256_add_epi16(position, _mm256_set1_epi16(2));
  }
  if (x < width) {
    const __m256i v = _mm256_and_si256(two(x), _mm256_set1_epi32(0xffff));
    total = _mm256_add_epi32(total, v);
    weighted_total = _mm256_add_epi32(weighted_total, _mm256_madd_epi16(v, position));
  }
  *sum = _mm256_cvtepi32_ps(total);
  *weighted = _mm256_cvtepi32_ps(weighted_total);
}

// The same for one channel, in lanes 0 and 4.
template <>
inline void sum_columns<1>(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* weighted) {
  __m256i total = _mm256_setzero_si256(), weighted_total = total;
  __m256i position = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
  for (int32_t x = 0; x < width; x += 8) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + x));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + x));
    const __m256i inside = _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<int16_t>(width)), position);
    const __m256i v = _mm256_and_si256(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), inside);
    total = _mm256_add_epi32(total, _mm256_madd_epi16(v, _mm256_set1_epi16(1)));
    weighted_total = _mm256_add_epi32(weighted_total, _mm256_madd_epi16(v, position));
    position = _mm256_add_epi16(position, _mm256_set1_epi16(8));
  }
  const __m256i halves = _mm256_hadd_epi32(total, weighted_total);
  const __m256i both = _mm256_hadd_epi32(halves, halves);
  *sum = _mm256_cvtepi32_ps(both);
  *weighted = _mm256_cvtepi32_ps(_mm256_srli_epi64(both, 32));
}

// sum_columns for 2·kPairs to 2·kPairs + 2 pixels. It adds in int16, even and odd positions apart: ByteColumnSums::fits
// says when that cannot overflow.
template <int kStep, int kPairs>
inline void sum_columns_narrow(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* weighted) {
  alignas(16) static constexpr int16_t kInside[3][8] = {
      {}, {-1, -1, -1, kStep == 3 ? 0 : -1}, {-1, -1, -1, -1, -1, -1, kStep == 3 ? 0 : -1, kStep == 3 ? 0 : -1}};
  const auto two = [&](int x) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + x * kStep));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + x * kStep));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  };
  const __m256i inside = _mm256_broadcastsi128_si256(
      _mm_load_si128(reinterpret_cast<const __m128i*>(kInside[width - 2 * kPairs])));
  // Σ v and Σ t·v over pairs t, without multiplying: from the last pair to the first, the partial sums of Σ v add up
  // to Σ t·v.
  __m256i total = _mm256_and_si256(two(2 * kPairs), inside);
  __m256i weighted_total = kPairs > 0 ? total : _mm256_setzero_si256();
  for (int t = kPairs - 1; t > 0; --t) {
    total = _mm256_add_epi16(total, two(2 * t));
    weighted_total = _mm256_add_epi16(weighted_total, total);
  }
  if (kPairs > 0) total = _mm256_add_epi16(total, two(0));
  const __m256i pairs = _mm256_shuffle_epi8(total, pair_order<kStep>());
  const __m256i odd = _mm256_srli_epi32(pairs, 16);
  const __m256i weighted_pairs = _mm256_shuffle_epi8(weighted_total, pair_order<kStep>());
  const __m256i even_positions = _mm256_madd_epi16(weighted_pairs, _mm256_set1_epi16(2));
  *sum = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  *weighted = _mm256_cvtepi32_ps(_mm256_add_epi32(even_positions, odd));
}

// Transposes eight vectors: line[0…2] get their lanes 0…2, line[3…5] their lanes 4…6.
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

// The inverse of transpose6: vector i goes to out + 8·i, with zero in lanes 3 and 7.
inline void interleave6(const F8* line, float* out) {
  const auto put = [&](int i, F8 sums, F8 weighted) {  // vectors i and i + 4
    store(out + 8 * i, _mm256_permute2f128_ps(sums, weighted, 0x20));
    store(out + 8 * (i + 4), _mm256_permute2f128_ps(sums, weighted, 0x31));
  };
  const auto two = [](F8 a, F8 b, F8* four) {
    four[0] = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0));
    four[1] = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2));
  };
  F8 sums[4], weighted[4];
  two(_mm256_unpacklo_ps(line[0], line[1]), _mm256_unpacklo_ps(line[2], zero()), sums);
  two(_mm256_unpackhi_ps(line[0], line[1]), _mm256_unpackhi_ps(line[2], zero()), sums + 2);
  two(_mm256_unpacklo_ps(line[3], line[4]), _mm256_unpacklo_ps(line[5], zero()), weighted);
  two(_mm256_unpackhi_ps(line[3], line[4]), _mm256_unpackhi_ps(line[5], zero()), weighted + 2);
  for (int i = 0; i < 4; ++i) put(i, sums[i], weighted[i]);
}

}  // namespace edgevision::avx2
