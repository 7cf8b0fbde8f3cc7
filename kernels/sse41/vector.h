// Vectors of eight floats on x86 with SSE4.1, each a pair of registers: what the generic loops are written in. These
// CPUs have no fused multiply-add. fma computes it in float64; fma53, fma_whole and multiply are quicker, for operands
// with which nothing is rounded before the end.
#pragma once

#include <smmintrin.h>

#include <cstddef>
#include <cstdint>

#define EV_ISA sse41
#define EV_ALWAYS inline __attribute__((always_inline))

#include "../x86/interleave.h"

namespace edgevision::sse41 {

struct F8 {
  __m128 low, high;
};
struct I8 {
  __m128i low, high;
};

EV_ALWAYS F8 load(const float* p) { return {_mm_loadu_ps(p), _mm_loadu_ps(p + 4)}; }
EV_ALWAYS void store(float* p, F8 v) {
  _mm_storeu_ps(p, v.low);
  _mm_storeu_ps(p + 4, v.high);
}
EV_ALWAYS F8 all(float v) { return {_mm_set1_ps(v), _mm_set1_ps(v)}; }
EV_ALWAYS F8 zero() { return {_mm_setzero_ps(), _mm_setzero_ps()}; }
EV_ALWAYS F8 add(F8 a, F8 b) { return {_mm_add_ps(a.low, b.low), _mm_add_ps(a.high, b.high)}; }
EV_ALWAYS F8 sub(F8 a, F8 b) { return {_mm_sub_ps(a.low, b.low), _mm_sub_ps(a.high, b.high)}; }
EV_ALWAYS F8 max(F8 a, F8 b) { return {_mm_max_ps(a.low, b.low), _mm_max_ps(a.high, b.high)}; }
EV_ALWAYS F8 clamp(F8 v, F8 low, F8 high) {
  return {_mm_min_ps(_mm_max_ps(v.low, low.low), high.low), _mm_min_ps(_mm_max_ps(v.high, low.high), high.high)};
}

// Four floats as float64, and back.
struct D4 {
  __m128d low, high;
};

EV_ALWAYS D4 widen(__m128 v) { return {_mm_cvtps_pd(v), _mm_cvtps_pd(_mm_movehl_ps(v, v))}; }
EV_ALWAYS __m128 narrow(D4 v) { return _mm_movelh_ps(_mm_cvtpd_ps(v.low), _mm_cvtpd_ps(v.high)); }

// a·b + c, rounded to float64: the product of two floats is exact there, the sum need not be.
EV_ALWAYS D4 multiply_add(D4 a, D4 b, D4 c) {
  return {_mm_add_pd(_mm_mul_pd(a.low, b.low), c.low), _mm_add_pd(_mm_mul_pd(a.high, b.high), c.high)};
}

// a·b + c rounded to odd, from where rounding to float is right: fma1 in pixel.h, two at a time.
EV_ALWAYS __m128d multiply_add_odd(__m128d a, __m128d b, __m128d c) {
  const __m128d product = _mm_mul_pd(a, b), sum = _mm_add_pd(product, c), part = _mm_sub_pd(sum, product);
  const __m128d error = _mm_add_pd(_mm_sub_pd(product, _mm_sub_pd(sum, part)), _mm_sub_pd(c, part));  // Knuth's TwoSum
  // Towards zero, which is one step back where sum and error differ in sign; then the last bit of what is inexact is
  // set.
  const __m128i inexact = _mm_castpd_si128(_mm_cmpneq_pd(error, _mm_setzero_pd()));
  const __m128i beyond = _mm_and_si128(_mm_castpd_si128(_mm_xor_pd(sum, error)), inexact);
  const __m128i cut = _mm_sub_epi64(_mm_castpd_si128(sum), _mm_srli_epi64(beyond, 63));
  return _mm_castsi128_pd(_mm_or_si128(cut, _mm_srli_epi64(inexact, 63)));
}

EV_ALWAYS __m128 fma_odd(__m128 a, __m128 b, __m128 c) {
  const D4 x = widen(a), y = widen(b), z = widen(c);
  return narrow({multiply_add_odd(x.low, y.low, z.low), multiply_add_odd(x.high, y.high, z.high)});
}

// Marks, in their sign bits, the lanes that two roundings might get wrong: a·b + c to float64, which is `sum`, then to
// float32. There are two cases. A float64 halfway between two floats, whose last 29 bits are 1000…, no longer says to
// which side the first rounding went; that is the only case if the result is a normal float. If it is subnormal and the
// first rounding changed it, c is below 2^-125 and not zero: the product has 48 bits, so that the sum of it and of a
// multiple of 2^-149 is exact in 53, unless the product is smaller than the sum by a factor of 32.
EV_ALWAYS __m128i doubtful(D4 sum, __m128 c) {
  const __m128i tails = _mm_castps_si128(
      _mm_shuffle_ps(_mm_castpd_ps(sum.low), _mm_castpd_ps(sum.high), _MM_SHUFFLE(2, 0, 2, 0)));
  const __m128i halfway = _mm_cmpeq_epi32(_mm_slli_epi32(tails, 3), _mm_set1_epi32(INT32_MIN));
  // Twice the bits of c drop its sign. Less one, a c of zero becomes the largest number and is not marked.
  const __m128i bits = _mm_castps_si128(c), magnitude = _mm_add_epi32(bits, bits);
  const __m128i tiny = _mm_cmplt_epi32(_mm_add_epi32(magnitude, _mm_set1_epi32(INT32_MAX)),
                                       _mm_set1_epi32(INT32_MIN + (2 << 24)));
  return _mm_or_si128(halfway, tiny);
}

// a·b + c with one rounding to float.
EV_ALWAYS F8 fma(F8 a, F8 b, F8 c) {
  const D4 low = multiply_add(widen(a.low), widen(b.low), widen(c.low));
  const D4 high = multiply_add(widen(a.high), widen(b.high), widen(c.high));
  const __m128i doubts = _mm_or_si128(doubtful(low, c.low), doubtful(high, c.high));
  if (__builtin_expect(_mm_movemask_epi8(doubts) != 0, 0)) {
    return {fma_odd(a.low, b.low, c.low), fma_odd(a.high, b.high, c.high)};
  }
  return {narrow(low), narrow(high)};
}

// fma for operands whose a·b + c fits the 53 bits of float64 exactly: then the only rounding is that to float.
EV_ALWAYS F8 fma53(F8 a, F8 b, F8 c) {
  return {narrow(multiply_add(widen(a.low), widen(b.low), widen(c.low))),
          narrow(multiply_add(widen(a.high), widen(b.high), widen(c.high)))};
}

// fma53 for a whole number n ≥ 0. A float times 0 or a power of two is exact.
EV_ALWAYS F8 fma_whole(int32_t n, F8 v, F8 c) {
  const F8 factor = all(static_cast<float>(n));
  if ((n & (n - 1)) != 0) return fma53(factor, v, c);
  return {_mm_add_ps(_mm_mul_ps(factor.low, v.low), c.low), _mm_add_ps(_mm_mul_ps(factor.high, v.high), c.high)};
}

// fma(a, b, zero()): the product, rounded once anyway, and +0 where a factor is 0. A negative one that rounds to 0
// stays -0.
EV_ALWAYS F8 multiply(F8 a, F8 b) {
  const auto four = [](__m128 x, __m128 y) {
    const __m128 none = _mm_setzero_ps();
    return _mm_and_ps(_mm_mul_ps(x, y), _mm_and_ps(_mm_cmpneq_ps(x, none), _mm_cmpneq_ps(y, none)));
  };
  return {four(a.low, b.low), four(a.high, b.high)};
}

EV_ALWAYS __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
EV_ALWAYS __m128i load8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
EV_ALWAYS __m128i load4(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm_cvtsi32_si128(word);
}

EV_ALWAYS I8 load_ints(const int32_t* p) { return {load16(p), load16(p + 4)}; }
EV_ALWAYS I8 masked(I8 v, int32_t mask) {
  return {_mm_and_si128(v.low, _mm_set1_epi32(mask)), _mm_and_si128(v.high, _mm_set1_epi32(mask))};
}
EV_ALWAYS I8 flipped(I8 v, int32_t bits) {
  return {_mm_xor_si128(v.low, _mm_set1_epi32(bits)), _mm_xor_si128(v.high, _mm_set1_epi32(bits))};
}
EV_ALWAYS I8 times(I8 v, int32_t factor) {
  return {_mm_mullo_epi32(v.low, _mm_set1_epi32(factor)), _mm_mullo_epi32(v.high, _mm_set1_epi32(factor))};
}
EV_ALWAYS I8 shift_right(I8 v, int count) { return {_mm_srli_epi32(v.low, count), _mm_srli_epi32(v.high, count)}; }
// By 0, 8, 16 or 24 bits. SSE4.1 cannot shift each lane by its own count, but it can blend by each lane's sign bit.
EV_ALWAYS I8 shift_right(I8 v, I8 counts) {
  const auto four = [](__m128i bits, __m128i count) {
    const auto where = [count](int bit, __m128i no, __m128i yes) {
      return _mm_castps_si128(_mm_blendv_ps(_mm_castsi128_ps(no), _mm_castsi128_ps(yes),
                                            _mm_castsi128_ps(_mm_slli_epi32(count, 31 - bit))));
    };
    bits = where(4, bits, _mm_srli_epi32(bits, 16));
    return where(3, bits, _mm_srli_epi32(bits, 8));
  };
  return {four(v.low, counts.low), four(v.high, counts.high)};
}
EV_ALWAYS F8 to_float(I8 v) { return {_mm_cvtepi32_ps(v.low), _mm_cvtepi32_ps(v.high)}; }

// The first eight bytes.
EV_ALWAYS F8 to_float(__m128i bytes) {
  return to_float(I8{_mm_cvtepu8_epi32(bytes), _mm_cvtepu8_epi32(_mm_srli_si128(bytes, 4))});
}

// Eight bytes.
EV_ALWAYS F8 from_bytes(const uint8_t* p) { return to_float(load8(p)); }

// Eight pixels of chroma: each sample belongs to two. Four bytes of one plane; four pairs of two; four YUYV words.
EV_ALWAYS F8 from_bytes_twice(const uint8_t* p) {
  const __m128i four = load4(p);
  return to_float(_mm_unpacklo_epi8(four, four));
}

// Four 32-bit lanes, each twice.
EV_ALWAYS F8 twice(__m128i v) {
  const __m128 four = _mm_cvtepi32_ps(v);
  return {_mm_unpacklo_ps(four, four), _mm_unpackhi_ps(four, four)};
}

EV_ALWAYS void from_pairs(const uint8_t* p, F8* cb, F8* cr) {
  const __m128i pairs = _mm_cvtepu16_epi32(load8(p));
  *cb = twice(_mm_and_si128(pairs, _mm_set1_epi32(255)));
  *cr = twice(_mm_srli_epi32(pairs, 8));
}

EV_ALWAYS void from_yuyv(const uint8_t* p, F8* y, F8* cb, F8* cr) {
  const __m128i words = load16(p);
  const __m128i luma = _mm_and_si128(words, _mm_set1_epi16(255));
  *y = to_float(_mm_packus_epi16(luma, luma));
  *cb = twice(_mm_and_si128(_mm_srli_epi32(words, 8), _mm_set1_epi32(255)));
  *cr = twice(_mm_srli_epi32(words, 24));
}

// The 32-bit word at each of eight byte offsets.
template <typename Offset>
EV_ALWAYS I8 gather(const uint8_t* base, const int32_t* at, Offset offset) {
  const auto four = [&](int i) {
    const auto word = [&](int k) { return load4(base + offset(at[i + k])); };
    return _mm_unpacklo_epi64(_mm_unpacklo_epi32(word(0), word(1)), _mm_unpacklo_epi32(word(2), word(3)));
  };
  return {four(0), four(4)};
}

// Eight values of three channels, put together: x0 y0 z0 x1 y1 z1 …
inline void interleave3(const float* x, const float* y, const float* z, float* out) {
  for (int i = 0; i < 8; i += 4, out += 12) {
    const __m128 a = _mm_loadu_ps(x + i), b = _mm_loadu_ps(y + i), c = _mm_loadu_ps(z + i);
    const __m128 xy = _mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0));  // x0 x2 y0 y2
    const __m128 yz = _mm_shuffle_ps(b, c, _MM_SHUFFLE(3, 1, 3, 1));  // y1 y3 z1 z3
    const __m128 zx = _mm_shuffle_ps(c, a, _MM_SHUFFLE(3, 1, 2, 0));  // z0 z2 x1 x3
    _mm_storeu_ps(out, _mm_shuffle_ps(xy, zx, _MM_SHUFFLE(2, 0, 2, 0)));
    _mm_storeu_ps(out + 4, _mm_shuffle_ps(yz, xy, _MM_SHUFFLE(3, 1, 2, 0)));
    _mm_storeu_ps(out + 8, _mm_shuffle_ps(zx, yz, _MM_SHUFFLE(3, 1, 3, 1)));
  }
}

// to_half in pixel.h, four at a time, in the low halves of the lanes.
EV_ALWAYS __m128i to_half(__m128 v) {
  const __m128i bits = _mm_castps_si128(v), magnitude = _mm_and_si128(bits, _mm_set1_epi32(INT32_MAX));
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(1));
  const __m128i rebased = _mm_add_epi32(magnitude, _mm_add_epi32(odd, _mm_set1_epi32(0xfff - 0x38000000)));
  const __m128i normal = _mm_srli_epi32(rebased, 13);
  const __m128i small = _mm_cvtps_epi32(_mm_mul_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(16777216.0f)));
  __m128i half = _mm_blendv_epi8(normal, small, _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x38800000)));
  half = _mm_blendv_epi8(half, _mm_set1_epi32(0x7c00), _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x477fffff)));
  return _mm_or_si128(half, _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(0x8000)));
}

inline void store_half(uint16_t* p, F8 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(to_half(v.low), to_half(v.high)));
}

// Rounded to the nearest, halves to even; values lie within int16.
EV_ALWAYS __m128i to_int16(F8 v) { return _mm_packs_epi32(_mm_cvtps_epi32(v.low), _mm_cvtps_epi32(v.high)); }

inline void store_uint8(uint8_t* p, F8 v) {
  const __m128i words = to_int16(clamp(v, zero(), all(255.0f)));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}

inline void store_int8(int8_t* p, F8 v) {
  const __m128i words = to_int16(clamp(v, all(-128.0f), all(127.0f)));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

// Inlined by force: GCC takes a function that only prefetches for one without effect, and drops the call.
EV_ALWAYS void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

// The weight of a right neighbour as a sum of two, so that share·(right - left) + left needs no float64 where left and
// right are bytes. `coarse` is a multiple of 2^-16: coarse·(right - left) + left is one within 0 … 255, has at most 24
// bits and is exact. `fine` is at most 2^-17. If it has no more than 16 bits, as for every share from 2^-10 on,
// fine·(right - left) is exact, too. Then only the addition of these two rounds.
struct Share {
  F8 coarse, fine;

  explicit EV_ALWAYS Share(F8 share)
      : coarse(sub(add(share, all(128.0f)), all(128.0f))),  // floats from 128 on are multiples of 2^-16
        fine(sub(share, coarse)) {}
  EV_ALWAYS bool is_exact() const {
    const __m128i bits = _mm_or_si128(_mm_castps_si128(fine.low), _mm_castps_si128(fine.high));
    return _mm_test_all_zeros(bits, _mm_set1_epi32(255)) != 0;
  }
};

template <int kStep, bool kPairs, bool kTwoRows, bool kExact>
EV_ALWAYS void packed8_of(const uint8_t* top, const uint8_t* bottom, const int32_t* first, F8 whole_share, Share share_x,
                          F8 share_y, F8* out) {
  // Pixels i … i + 3 of a row, with their right neighbours, each lane a pixel.
  const auto four = [&](const uint8_t* base, int i, __m128 share, __m128 coarse, __m128 fine, __m128* channel)
      __attribute__((always_inline)) {
    const auto bytes = [&](int k) { return load8(base + static_cast<ptrdiff_t>(first[i + k]) * kStep); };
    const __m128i even = _mm_unpacklo_epi8(bytes(0), bytes(1)), odd = _mm_unpacklo_epi8(bytes(2), bytes(3));
    const __m128i head = _mm_unpacklo_epi16(even, odd);  // byte 0 of all four, then bytes 1, 2, 3
    const __m128i tail = _mm_unpackhi_epi16(even, odd);  // bytes 4 … 7
    const __m128i right = kStep == 3 ? _mm_alignr_epi8(tail, head, 12) : tail;
    const auto lanes = [](__m128i v, int c) __attribute__((always_inline)) {
      return _mm_cvtepu8_epi32(c == 0 ? v : c == 1 ? _mm_srli_si128(v, 4) : _mm_srli_si128(v, 8));
    };
    for (int c = 0; c < 3; ++c) {
      const __m128i left = lanes(head, c);
      channel[c] = _mm_cvtepi32_ps(left);
      if (!kPairs) continue;
      const __m128 step = _mm_cvtepi32_ps(_mm_sub_epi32(lanes(right, c), left));
      if (kExact) {
        channel[c] = _mm_add_ps(_mm_add_ps(_mm_mul_ps(coarse, step), channel[c]), _mm_mul_ps(fine, step));
      } else {
        channel[c] = fma_odd(share, step, channel[c]);
      }
    }
  };
  const auto row = [&](const uint8_t* base, F8* pixel) __attribute__((always_inline)) {
    __m128 low[3], high[3];
    four(base, 0, whole_share.low, share_x.coarse.low, share_x.fine.low, low);
    four(base, 4, whole_share.high, share_x.coarse.high, share_x.fine.high, high);
    for (int c = 0; c < 3; ++c) pixel[c] = {low[c], high[c]};
  };
  row(top, out);
  if (!kTwoRows) return;
  F8 below[3];
  row(bottom, below);
  for (int c = 0; c < 3; ++c) out[c] = fma(share_y, sub(below[c], out[c]), out[c]);
}

// Eight output pixels of a packed format, kStep bytes a pixel, from one or two rows: out[c] = channel c of all eight.
// Reads eight bytes from each pixel on.
template <int kStep, bool kPairs, bool kTwoRows>
EV_ALWAYS void packed8(const uint8_t* top, const uint8_t* bottom, const int32_t* first, F8 share_x, F8 share_y, F8* out) {
  const Share parts(share_x);
  if (!kPairs || __builtin_expect(parts.is_exact(), 1)) {
    packed8_of<kStep, kPairs, kTwoRows, true>(top, bottom, first, share_x, parts, share_y, out);
  } else {
    packed8_of<kStep, kPairs, kTwoRows, false>(top, bottom, first, share_x, parts, share_y, out);
  }
}

}  // namespace edgevision::sse41
