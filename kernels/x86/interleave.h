// What every x86 vector.h puts together byte by byte: 128-bit SSSE3, in the namespace of the set that includes it.
#pragma once

#include <tmmintrin.h>

#include <cstdint>

namespace edgevision::EV_ISA {

// Eight values of three channels, put together: x0 y0 z0 x1 y1 z1 …
inline void interleave3(const uint8_t* x, const uint8_t* y, const uint8_t* z, uint8_t* out) {
  const auto eight = [](const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); };
  const __m128i xy = _mm_unpacklo_epi64(eight(x), eight(y)), zz = eight(z);
  constexpr char o = -128;
  const __m128i head = _mm_or_si128(
      _mm_shuffle_epi8(xy, _mm_setr_epi8(0, 8, o, 1, 9, o, 2, 10, o, 3, 11, o, 4, 12, o, 5)),
      _mm_shuffle_epi8(zz, _mm_setr_epi8(o, o, 0, o, o, 1, o, o, 2, o, o, 3, o, o, 4, o)));
  const __m128i tail = _mm_or_si128(
      _mm_shuffle_epi8(xy, _mm_setr_epi8(13, o, 6, 14, o, 7, 15, o, o, o, o, o, o, o, o, o)),
      _mm_shuffle_epi8(zz, _mm_setr_epi8(o, 5, o, o, 6, o, o, 7, o, o, o, o, o, o, o, o)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), head);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 16), tail);
}

inline void interleave3(const int8_t* x, const int8_t* y, const int8_t* z, int8_t* out) {
  const auto bytes = [](const int8_t* p) { return reinterpret_cast<const uint8_t*>(p); };
  interleave3(bytes(x), bytes(y), bytes(z), reinterpret_cast<uint8_t*>(out));
}

inline void interleave3(const uint16_t* x, const uint16_t* y, const uint16_t* z, uint16_t* out) {
  for (int i = 0; i < 8; ++i) {
    out[3 * i] = x[i];
    out[3 * i + 1] = y[i];
    out[3 * i + 2] = z[i];
  }
}

}  // namespace edgevision::EV_ISA
