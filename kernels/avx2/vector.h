// Vectors of eight floats on x86 with AVX2, FMA and F16C: what the generic loops are written in.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define EV_ISA avx2

#include "../x86/interleave.h"

namespace edgevision::avx2 {

using F8 = __m256;
using I8 = __m256i;

inline F8 load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, F8 v) { _mm256_storeu_ps(p, v); }
inline F8 all(float v) { return _mm256_set1_ps(v); }
inline F8 zero() { return _mm256_setzero_ps(); }
inline F8 add(F8 a, F8 b) { return _mm256_add_ps(a, b); }
inline F8 sub(F8 a, F8 b) { return _mm256_sub_ps(a, b); }
inline F8 fma(F8 a, F8 b, F8 c) { return _mm256_fmadd_ps(a, b, c); }
// fma for operands that allow a quicker way where there is no such instruction: sse41/vector.h says which.
inline F8 fma53(F8 a, F8 b, F8 c) { return fma(a, b, c); }
inline F8 fma_whole(int32_t n, F8 v, F8 c) { return fma(all(static_cast<float>(n)), v, c); }
inline F8 multiply(F8 a, F8 b) { return fma(a, b, zero()); }
inline F8 max(F8 a, F8 b) { return _mm256_max_ps(a, b); }
inline F8 clamp(F8 v, F8 low, F8 high) { return _mm256_min_ps(_mm256_max_ps(v, low), high); }

inline I8 load_ints(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline I8 masked(I8 v, int32_t mask) { return _mm256_and_si256(v, _mm256_set1_epi32(mask)); }
inline I8 flipped(I8 v, int32_t bits) { return _mm256_xor_si256(v, _mm256_set1_epi32(bits)); }
inline I8 times(I8 v, int32_t factor) { return _mm256_mullo_epi32(v, _mm256_set1_epi32(factor)); }
inline I8 shift_right(I8 v, int count) { return _mm256_srli_epi32(v, count); }
inline I8 shift_right(I8 v, I8 counts) { return _mm256_srlv_epi32(v, counts); }
inline F8 to_float(I8 v) { return _mm256_cvtepi32_ps(v); }

// Eight bytes.
inline F8 from_bytes(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

// Eight pixels of chroma: each sample belongs to two. Four bytes of one plane; four pairs of two; four YUYV words.
inline F8 from_bytes_twice(const uint8_t* p) {
  const __m128i four = _mm_loadu_si32(p);
  return to_float(_mm256_cvtepu8_epi32(_mm_unpacklo_epi8(four, four)));
}

inline F8 picked(__m128i bytes, __m128i order) {
  return to_float(_mm256_cvtepu8_epi32(_mm_shuffle_epi8(bytes, order)));
}

inline void from_pairs(const uint8_t* p, F8* cb, F8* cr) {
  const __m128i pairs = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  *cb = picked(pairs, _mm_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, -1, -1, -1, -1, -1, -1, -1, -1));
  *cr = picked(pairs, _mm_setr_epi8(1, 1, 3, 3, 5, 5, 7, 7, -1, -1, -1, -1, -1, -1, -1, -1));
}

inline void from_yuyv(const uint8_t* p, F8* y, F8* cb, F8* cr) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  *y = picked(words, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1));
  *cb = picked(words, _mm_setr_epi8(1, 1, 5, 5, 9, 9, 13, 13, -1, -1, -1, -1, -1, -1, -1, -1));
  *cr = picked(words, _mm_setr_epi8(3, 3, 7, 7, 11, 11, 15, 15, -1, -1, -1, -1, -1, -1, -1, -1));
}

// The 32-bit word at each of eight byte offsets.
template <typename Offset>
inline I8 gather(const uint8_t* base, const int32_t* at, Offset offset) {
  const auto word = [&](int i) { return _mm_loadu_si32(base + offset(at[i])); };
  const __m128i low = _mm_unpacklo_epi64(_mm_unpacklo_epi32(word(0), word(1)), _mm_unpacklo_epi32(word(2), word(3)));
  const __m128i high = _mm_unpacklo_epi64(_mm_unpacklo_epi32(word(4), word(5)), _mm_unpacklo_epi32(word(6), word(7)));
  return _mm256_set_m128i(high, low);
}

// Eight values of three channels, put together: x0 y0 z0 x1 y1 z1 …
inline void interleave3(const float* x, const float* y, const float* z, float* out) {
  const F8 a = load(x), b = load(y), c = load(z);
  const F8 xy = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0));  // x0 x2 y0 y2
  const F8 yz = _mm256_shuffle_ps(b, c, _MM_SHUFFLE(3, 1, 3, 1));  // y1 y3 z1 z3
  const F8 zx = _mm256_shuffle_ps(c, a, _MM_SHUFFLE(3, 1, 2, 0));  // z0 z2 x1 x3
  const F8 p = _mm256_shuffle_ps(xy, zx, _MM_SHUFFLE(2, 0, 2, 0));  // x0 y0 z0 x1
  const F8 q = _mm256_shuffle_ps(yz, xy, _MM_SHUFFLE(3, 1, 2, 0));  // y1 z1 x2 y2
  const F8 r = _mm256_shuffle_ps(zx, yz, _MM_SHUFFLE(3, 1, 3, 1));  // z2 x3 y3 z3
  store(out, _mm256_permute2f128_ps(p, q, 0x20));
  store(out + 8, _mm256_permute2f128_ps(r, p, 0x30));
  store(out + 16, _mm256_permute2f128_ps(q, r, 0x31));
}

inline void store_half(uint16_t* p, F8 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// Rounded to the nearest, halves to even; values lie within int16.
inline __m128i to_int16(F8 v) {
  const __m256i ints = _mm256_cvtps_epi32(v);
  return _mm_packs_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
}

inline void store_uint8(uint8_t* p, F8 v) {
  const __m128i words = to_int16(clamp(v, zero(), all(255.0f)));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}

inline void store_int8(int8_t* p, F8 v) {
  const __m128i words = to_int16(clamp(v, all(-128.0f), all(127.0f)));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

// Into the second-level cache: a core can wait for many more lines there than in the first level, 1.5× as many bytes a
// second here. Inlined by force: GCC takes a function that only prefetches for one without effect, and drops the call.
inline __attribute__((always_inline)) void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

// Eight output pixels of a packed format, kStep bytes a pixel, from one or two rows: out[c] = channel c of all eight.
// Reads 16 bytes from each pixel on.
template <int kStep, bool kPairs, bool kTwoRows>
inline __attribute__((always_inline)) void packed8(const uint8_t* top, const uint8_t* bottom, const int32_t* first, F8 share_x, F8 share_y, F8* out) {
  // Left and right pixel, each byte to a lane of 32 bits; 0x80 = zero.
  constexpr char o = -128;
  const __m256i left_bytes = _mm256_setr_epi8(0, o, o, o, 1, o, o, o, 2, o, o, o, o, o, o, o,  //
                                              0, o, o, o, 1, o, o, o, 2, o, o, o, o, o, o, o);
  const __m256i right_bytes = _mm256_setr_epi8(
      kStep, o, o, o, kStep + 1, o, o, o, kStep + 2, o, o, o, o, o, o, o,  //
      kStep, o, o, o, kStep + 1, o, o, o, kStep + 2, o, o, o, o, o, o, o);
  const auto row = [&](const uint8_t* base, int i, F8 share) {
    const auto at = [&](int k) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(base + static_cast<ptrdiff_t>(first[k]) * kStep));
    };
    const __m256i pixels = _mm256_inserti128_si256(_mm256_castsi128_si256(at(i)), at(i + 4), 1);
    const __m256i left = _mm256_shuffle_epi8(pixels, left_bytes);
    if (!kPairs) return to_float(left);
    const __m256i right = _mm256_shuffle_epi8(pixels, right_bytes);
    return fma(share, to_float(_mm256_sub_epi32(right, left)), to_float(left));
  };
  const auto both = [&](int i, F8 share) {
    const F8 a = row(top, i, share);
    return kTwoRows ? fma(share_y, sub(row(bottom, i, share), a), a) : a;
  };
  // Pixels i and i + 4 share a vector, so that the four of each half come out in order.
  const F8 p0 = both(0, _mm256_shuffle_ps(share_x, share_x, 0x00));
  const F8 p1 = both(1, _mm256_shuffle_ps(share_x, share_x, 0x55));
  const F8 p2 = both(2, _mm256_shuffle_ps(share_x, share_x, 0xaa));
  const F8 p3 = both(3, _mm256_shuffle_ps(share_x, share_x, 0xff));
  const F8 low01 = _mm256_unpacklo_ps(p0, p1), low23 = _mm256_unpacklo_ps(p2, p3);
  out[0] = _mm256_shuffle_ps(low01, low23, _MM_SHUFFLE(1, 0, 1, 0));
  out[1] = _mm256_shuffle_ps(low01, low23, _MM_SHUFFLE(3, 2, 3, 2));
  out[2] = _mm256_shuffle_ps(_mm256_unpackhi_ps(p0, p1), _mm256_unpackhi_ps(p2, p3), _MM_SHUFFLE(1, 0, 1, 0));
}

}  // namespace edgevision::avx2
