// The sums of generic/piecewise_linear_bytes.h: down the columns of a piece, then along its row.
#pragma once

#include <algorithm>

#include "vector.h"

namespace edgevision::neon {

// Sums down each of `count` ≥ 32 columns of bytes. `offset`: the position of row[0] in its piece.
// sum[i] = Σ row[r][i], weighted[i] = Σ (offset + r)·row[r][i]; both fit an int16 (kMaxPieceRows).
inline void sum_rows(const uint8_t* const* row, int32_t rows, int32_t offset, int32_t count, int16_t* sum,
                     int16_t* weighted) {
  for (int32_t i = 0;; i = std::min(i + 16, count - 16)) {  // the last vector may overlap the one before
    uint16x8_t sum_low = vdupq_n_u16(0), sum_high = sum_low, weighted_low = sum_low, weighted_high = sum_low;
    for (int32_t r = 0; r < rows; ++r) {
      const uint8x16_t bytes = vld1q_u8(row[r] + i), position = vdupq_n_u8(static_cast<uint8_t>(offset + r));
      sum_low = vaddw_u8(sum_low, vget_low_u8(bytes));
      sum_high = vaddw_high_u8(sum_high, bytes);
      weighted_low = vmlal_u8(weighted_low, vget_low_u8(bytes), vget_low_u8(position));
      weighted_high = vmlal_high_u8(weighted_high, bytes, position);
    }
    vst1q_s16(sum + i, vreinterpretq_s16_u16(sum_low));
    vst1q_s16(sum + i + 8, vreinterpretq_s16_u16(sum_high));
    vst1q_s16(weighted + i, vreinterpretq_s16_u16(weighted_low));
    vst1q_s16(weighted + i + 8, vreinterpretq_s16_u16(weighted_high));
    if (i == count - 16) return;
  }
}

// Sums `width` pixels of kStep channels along two lines of int16 at once. Lanes 0…2 of `sum`: the channels of line `a`;
// lanes 4…6: those of `b`; lanes 3 and 7 are unused. `weighted`: the same, each pixel times its position 0 … width - 1.
// Reads 16 bytes from each pixel on.
template <int kStep>
inline void sum_columns(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* weighted) {
  int32x4_t total[2] = {vdupq_n_s32(0), vdupq_n_s32(0)}, weighted_total[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
  for (int32_t x = 0; x < width; ++x) {
    const int16x4_t v[2] = {vld1_s16(a + x * kStep), vld1_s16(b + x * kStep)};
    for (int i = 0; i < 2; ++i) {
      total[i] = vaddw_s16(total[i], v[i]);
      weighted_total[i] = vmlal_n_s16(weighted_total[i], v[i], static_cast<int16_t>(x));
    }
  }
  *sum = {vcvtq_f32_s32(total[0]), vcvtq_f32_s32(total[1])};
  *weighted = {vcvtq_f32_s32(weighted_total[0]), vcvtq_f32_s32(weighted_total[1])};
}

// sum_columns for 2·kPairs to 2·kPairs + 2 pixels. It adds in int16, even and odd positions apart: ByteColumnSums::fits
// says when that cannot overflow.
template <int kStep, int kPairs>
inline void sum_columns_narrow(const int16_t* a, const int16_t* b, int32_t width, F8* sum, F8* weighted) {
  static constexpr int16_t kInside[3][8] = {
      {}, {-1, -1, -1, kStep == 3 ? 0 : -1}, {-1, -1, -1, -1, -1, -1, kStep == 3 ? 0 : -1, kStep == 3 ? 0 : -1}};
  const int16x8_t inside = vld1q_s16(kInside[width - 2 * kPairs]);
  const auto line = [&](const int16_t* p, float32x4_t* sum_of_line, float32x4_t* weighted_of_line) {
    // Σ v and Σ t·v over pairs t, without multiplying: from the last pair to the first, the partial sums of Σ v add up
    // to Σ t·v.
    int16x8_t total = vandq_s16(vld1q_s16(p + 2 * kPairs * kStep), inside);
    int16x8_t weighted_total = kPairs > 0 ? total : vdupq_n_s16(0);
    for (int t = kPairs - 1; t > 0; --t) {
      total = vaddq_s16(total, vld1q_s16(p + 2 * t * kStep));
      weighted_total = vaddq_s16(weighted_total, total);
    }
    if (kPairs > 0) total = vaddq_s16(total, vld1q_s16(p));
    const int16x4_t odd = vget_low_s16(vextq_s16(total, total, kStep));
    const int16x8_t odd_weighted = vextq_s16(weighted_total, weighted_total, kStep);
    const int32x4_t pairs = vaddl_s16(vget_low_s16(weighted_total), vget_low_s16(odd_weighted));
    *sum_of_line = vcvtq_f32_s32(vaddl_s16(vget_low_s16(total), odd));
    *weighted_of_line = vcvtq_f32_s32(vaddw_s16(vshlq_n_s32(pairs, 1), odd));
  };
  line(a, &sum->low, &weighted->low);
  line(b, &sum->high, &weighted->high);
}

// Transposes eight vectors: line[0…2] get their lanes 0…2, line[3…5] their lanes 4…6.
inline void transpose6(const F8* in, F8* line) {
  const auto half = [](float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d, float32x4_t* out) {
    const auto pair = [](float32x4_t v) { return vreinterpretq_f64_f32(v); };
    const float64x2_t ab0 = pair(vtrn1q_f32(a, b)), ab1 = pair(vtrn2q_f32(a, b));
    const float64x2_t cd0 = pair(vtrn1q_f32(c, d)), cd1 = pair(vtrn2q_f32(c, d));
    out[0] = vreinterpretq_f32_f64(vzip1q_f64(ab0, cd0));
    out[1] = vreinterpretq_f32_f64(vzip1q_f64(ab1, cd1));
    out[2] = vreinterpretq_f32_f64(vzip2q_f64(ab0, cd0));
  };
  float32x4_t out[4][3];
  half(in[0].low, in[1].low, in[2].low, in[3].low, out[0]);
  half(in[4].low, in[5].low, in[6].low, in[7].low, out[1]);
  half(in[0].high, in[1].high, in[2].high, in[3].high, out[2]);
  half(in[4].high, in[5].high, in[6].high, in[7].high, out[3]);
  for (int c = 0; c < 3; ++c) {
    line[c] = {out[0][c], out[1][c]};
    line[3 + c] = {out[2][c], out[3][c]};
  }
}

// The inverse of transpose6: vector i goes to out + 8·i, with zero in lanes 3 and 7.
inline void interleave6(const F8* line, float* out) {
  const auto four = [](float32x4_t b, float32x4_t g, float32x4_t r, float* p) {  // 8 floats from one to the next
    const float32x4_t none = vdupq_n_f32(0.0f);
    const float32x4_t br[2] = {vzip1q_f32(b, r), vzip2q_f32(b, r)}, g0[2] = {vzip1q_f32(g, none), vzip2q_f32(g, none)};
    for (int i = 0; i < 2; ++i) {
      vst1q_f32(p + 16 * i, vzip1q_f32(br[i], g0[i]));
      vst1q_f32(p + 16 * i + 8, vzip2q_f32(br[i], g0[i]));
    }
  };
  four(line[0].low, line[1].low, line[2].low, out);
  four(line[0].high, line[1].high, line[2].high, out + 32);
  four(line[3].low, line[4].low, line[5].low, out + 4);
  four(line[3].high, line[4].high, line[5].high, out + 36);
}

}  // namespace edgevision::neon
