// Vectors of eight floats on 64-bit ARM, each a pair of registers: what the generic loops are written in.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#define EV_ISA neon

namespace edgevision::neon {

struct F8 {
  float32x4_t low, high;
};
struct I8 {
  uint32x4_t low, high;
};

inline F8 load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
inline void store(float* p, F8 v) {
  vst1q_f32(p, v.low);
  vst1q_f32(p + 4, v.high);
}
inline F8 all(float v) { return {vdupq_n_f32(v), vdupq_n_f32(v)}; }
inline F8 zero() { return all(0.0f); }
inline F8 add(F8 a, F8 b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
inline F8 sub(F8 a, F8 b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
inline F8 fma(F8 a, F8 b, F8 c) { return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)}; }
// fma for operands that allow a quicker way where there is no such instruction: sse41/vector.h says which.
inline F8 fma53(F8 a, F8 b, F8 c) { return fma(a, b, c); }
inline F8 fma_whole(int32_t n, F8 v, F8 c) { return fma(all(static_cast<float>(n)), v, c); }
inline F8 multiply(F8 a, F8 b) { return fma(a, b, zero()); }
inline F8 max(F8 a, F8 b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
inline F8 clamp(F8 v, F8 low, F8 high) {
  return {vminq_f32(vmaxq_f32(v.low, low.low), high.low), vminq_f32(vmaxq_f32(v.high, low.high), high.high)};
}

inline I8 load_ints(const int32_t* p) {
  return {vreinterpretq_u32_s32(vld1q_s32(p)), vreinterpretq_u32_s32(vld1q_s32(p + 4))};
}
inline I8 masked(I8 v, int32_t mask) {
  const uint32x4_t bits = vdupq_n_u32(static_cast<uint32_t>(mask));
  return {vandq_u32(v.low, bits), vandq_u32(v.high, bits)};
}
inline I8 flipped(I8 v, int32_t bits) {
  const uint32x4_t flips = vdupq_n_u32(static_cast<uint32_t>(bits));
  return {veorq_u32(v.low, flips), veorq_u32(v.high, flips)};
}
inline I8 times(I8 v, int32_t factor) {
  const auto f = static_cast<uint32_t>(factor);
  return {vmulq_n_u32(v.low, f), vmulq_n_u32(v.high, f)};
}
// A shift to the left by a negative count is one to the right.
inline I8 shift_right(I8 v, I8 counts) {
  return {vshlq_u32(v.low, vnegq_s32(vreinterpretq_s32_u32(counts.low))),
          vshlq_u32(v.high, vnegq_s32(vreinterpretq_s32_u32(counts.high)))};
}
inline I8 shift_right(I8 v, int count) {
  return {vshlq_u32(v.low, vdupq_n_s32(-count)), vshlq_u32(v.high, vdupq_n_s32(-count))};
}
// Of signed numbers.
inline F8 to_float(I8 v) {
  return {vcvtq_f32_s32(vreinterpretq_s32_u32(v.low)), vcvtq_f32_s32(vreinterpretq_s32_u32(v.high))};
}

inline F8 to_float(uint8x8_t bytes) {
  const uint16x8_t words = vmovl_u8(bytes);
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))), vcvtq_f32_u32(vmovl_high_u16(words))};
}

// Eight bytes.
inline F8 from_bytes(const uint8_t* p) { return to_float(vld1_u8(p)); }

// Eight pixels of chroma: each sample belongs to two. Four bytes of one plane; four pairs of two; four YUYV words.
inline F8 from_bytes_twice(const uint8_t* p) {
  uint32_t word;
  std::memcpy(&word, p, sizeof word);
  const uint8x8_t four = vreinterpret_u8_u32(vdup_n_u32(word));
  return to_float(vzip1_u8(four, four));
}

inline void from_pairs(const uint8_t* p, F8* cb, F8* cr) {
  const uint8x8_t pairs = vld1_u8(p);
  *cb = to_float(vtrn1_u8(pairs, pairs));
  *cr = to_float(vtrn2_u8(pairs, pairs));
}

inline void from_yuyv(const uint8_t* p, F8* y, F8* cb, F8* cr) {
  const uint8x8x2_t words = vld2_u8(p);
  *y = to_float(words.val[0]);
  *cb = to_float(vtrn1_u8(words.val[1], words.val[1]));
  *cr = to_float(vtrn2_u8(words.val[1], words.val[1]));
}

// The 32-bit word at each of eight byte offsets.
template <typename Offset>
inline I8 gather(const uint8_t* base, const int32_t* at, Offset offset) {
  const auto word = [&](int i) {
    uint32_t v;
    std::memcpy(&v, base + offset(at[i]), sizeof v);
    return v;
  };
  const auto four = [&](int i) {
    uint32x4_t v = vdupq_n_u32(word(i));
    v = vsetq_lane_u32(word(i + 1), v, 1);
    v = vsetq_lane_u32(word(i + 2), v, 2);
    return vsetq_lane_u32(word(i + 3), v, 3);
  };
  return {four(0), four(4)};
}

// Eight values of three channels, put together: x0 y0 z0 x1 y1 z1 …
inline void interleave3(const float* x, const float* y, const float* z, float* out) {
  vst3q_f32(out, {{vld1q_f32(x), vld1q_f32(y), vld1q_f32(z)}});
  vst3q_f32(out + 12, {{vld1q_f32(x + 4), vld1q_f32(y + 4), vld1q_f32(z + 4)}});
}
inline void interleave3(const uint16_t* x, const uint16_t* y, const uint16_t* z, uint16_t* out) {
  vst3q_u16(out, {{vld1q_u16(x), vld1q_u16(y), vld1q_u16(z)}});
}
inline void interleave3(const uint8_t* x, const uint8_t* y, const uint8_t* z, uint8_t* out) {
  vst3_u8(out, {{vld1_u8(x), vld1_u8(y), vld1_u8(z)}});
}
inline void interleave3(const int8_t* x, const int8_t* y, const int8_t* z, int8_t* out) {
  vst3_s8(out, {{vld1_s8(x), vld1_s8(y), vld1_s8(z)}});
}

inline void store_half(uint16_t* p, F8 v) {
  const float16x4_t low = vcvt_f16_f32(v.low), high = vcvt_f16_f32(v.high);
  vst1q_u16(p, vcombine_u16(vreinterpret_u16_f16(low), vreinterpret_u16_f16(high)));
}

// Rounded to the nearest, halves to even, and saturated.
inline void store_uint8(uint8_t* p, F8 v) {
  const uint16x4_t low = vqmovn_u32(vcvtnq_u32_f32(v.low)), high = vqmovn_u32(vcvtnq_u32_f32(v.high));
  vst1_u8(p, vqmovn_u16(vcombine_u16(low, high)));
}

inline void store_int8(int8_t* p, F8 v) {
  const int16x4_t low = vqmovn_s32(vcvtnq_s32_f32(v.low)), high = vqmovn_s32(vcvtnq_s32_f32(v.high));
  vst1_s8(p, vqmovn_s16(vcombine_s16(low, high)));
}

// Inlined by force: GCC takes a function that only prefetches for one without effect, and drops the call.
inline __attribute__((always_inline)) void prefetch(const uint8_t* p) { __builtin_prefetch(p); }

// Eight output pixels of a packed format, kStep bytes a pixel, from one or two rows: out[c] = channel c of all eight.
// Reads eight bytes from each pixel on.
template <int kStep, bool kPairs, bool kTwoRows>
inline __attribute__((always_inline)) void packed8(const uint8_t* top, const uint8_t* bottom, const int32_t* first,
                                                   F8 share_x, F8 share_y, F8* out) {
  // Pixels i … i + 3 of a row, with their right neighbours, each lane a pixel.
  const auto four = [&](const uint8_t* base, int i, float32x4_t share, float32x4_t* channel) {
    const auto bytes = [&](int k) {
      return vcombine_u8(vld1_u8(base + static_cast<ptrdiff_t>(first[i + k]) * kStep), vdup_n_u8(0));
    };
    const uint16x8_t even = vreinterpretq_u16_u8(vzip1q_u8(bytes(0), bytes(1)));
    const uint16x8_t odd = vreinterpretq_u16_u8(vzip1q_u8(bytes(2), bytes(3)));
    const uint8x16_t left = vreinterpretq_u8_u16(vzip1q_u16(even, odd));  // byte 0 of all four, then byte 1, 2, 3
    const uint8x16_t rest = vreinterpretq_u8_u16(vzip2q_u16(even, odd));  // bytes 4 … 7
    const uint16x8_t left01 = vmovl_u8(vget_low_u8(left)), left2 = vmovl_high_u8(left);
    channel[0] = vcvtq_f32_u32(vmovl_u16(vget_low_u16(left01)));
    channel[1] = vcvtq_f32_u32(vmovl_high_u16(left01));
    channel[2] = vcvtq_f32_u32(vmovl_u16(vget_low_u16(left2)));
    if (!kPairs) return;
    const uint8x16_t right = kStep == 3 ? vextq_u8(left, rest, 12) : rest;
    const int16x8_t step01 = vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(right), vget_low_u8(left)));
    const int16x8_t step2 = vreinterpretq_s16_u16(vsubl_high_u8(right, left));
    channel[0] = vfmaq_f32(channel[0], share, vcvtq_f32_s32(vmovl_s16(vget_low_s16(step01))));
    channel[1] = vfmaq_f32(channel[1], share, vcvtq_f32_s32(vmovl_high_s16(step01)));
    channel[2] = vfmaq_f32(channel[2], share, vcvtq_f32_s32(vmovl_s16(vget_low_s16(step2))));
  };
  const auto both = [&](int i, float32x4_t share, float32x4_t share_of_bottom, float32x4_t* channel) {
    four(top, i, share, channel);
    if (!kTwoRows) return;
    float32x4_t below[3];
    four(bottom, i, share, below);
    for (int c = 0; c < 3; ++c) {
      channel[c] = vfmaq_f32(channel[c], share_of_bottom, vsubq_f32(below[c], channel[c]));
    }
  };
  float32x4_t low[3], high[3];
  both(0, share_x.low, share_y.low, low);
  both(4, share_x.high, share_y.high, high);
  for (int c = 0; c < 3; ++c) out[c] = {low[c], high[c]};
}

}  // namespace edgevision::neon
