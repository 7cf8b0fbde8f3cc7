// The maths of a pixel, once, for host and device.
//
// Every multiplication is written as an explicit fused multiply-add (IEEE 754 fusedMultiplyAdd: one rounding), and
// every sum has a stated order. So nothing is left for a compiler to contract or to reorder, and the scalar loop, the
// vector loops and the CUDA kernel give the same bits. Compile with -ffp-contract=off and never with fast-math.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "row_job.h"

#if defined(__CUDACC__)
#define EV_HD static __host__ __device__ __forceinline__
#else
#define EV_HD static inline __attribute__((always_inline))
#endif

// x86-64 without FMA has no such instruction, and the C library's emulation changes the rounding mode on each call.
#if !defined(__CUDACC__) && (defined(__x86_64__) || defined(_M_X64)) && !defined(__FMA__)
#define EV_SOFTWARE_FMA 1
#endif

// Before a loop: keep it a loop, and its registers few.
#if defined(__CUDACC__)
#define EV_ROLLED _Pragma("unroll 1")
#else
#define EV_ROLLED
#endif

namespace edgevision {

// a·b + c with one rounding.
EV_HD float fma1(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#elif defined(EV_SOFTWARE_FMA)
  // The product is exact in double. The sum is rounded to odd, from where rounding to float is right: Boldo and
  // Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008.
  const double product = static_cast<double>(a) * b;
  const double addend = c;
  double sum = product + addend;
  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);  // Knuth's TwoSum
  int64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  const int64_t inexact = (error != 0.0) & ((bits & 1) == 0);
  bits += (error > 0.0) == (sum > 0.0) ? inexact : -inexact;
  memcpy(&sum, &bits, sizeof sum);
  return static_cast<float>(sum);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

// a·b, written so that no compiler can fuse it with a sum that follows.
EV_HD float multiply1(float a, float b) { return fma1(a, b, 0.0f); }

EV_HD float lerp1(float a, float b, float share_of_b) { return fma1(share_of_b, b - a, a); }

// The larger of two numbers, and a number kept within two. The GPU has an instruction for each half, where comparisons
// need two. Both differ from the comparisons only for NaN, which never comes, and in the sign of a zero: a sum that
// rounds to nearest is not -0 unless both its parts are, and Y'CbCr never has such; to integers all zeros are one.
EV_HD float max1(float a, float b) {
#if defined(__CUDA_ARCH__)
  return fmaxf(a, b);
#else
  return a < b ? b : a;
#endif
}

EV_HD float clamp1(float v, float low, float high) {
#if defined(__CUDA_ARCH__)
  return fminf(fmaxf(v, low), high);
#else
  return v < low ? low : (v > high ? high : v);
#endif
}

// Three channels of a pixel as they lie in memory: B, G, R for BGR, BGRA and every YUV format, R, G, B for RGB.
struct Pixel {
  float c[3];
};

// What the chroma of a pixel adds to B, G and R. Kept apart: up to four pixels share their chroma.
EV_HD Pixel chroma_terms(float cb, float cr, const YuvMatrix& m) {
  return {{fma1(cb, m.blue_cb, m.bias[0]), fma1(cb, m.green_cb, fma1(cr, m.green_cr, m.bias[1])),
           fma1(cr, m.red_cr, m.bias[2])}};
}

EV_HD Pixel yuv_pixel(float y, const Pixel& chroma, const YuvMatrix& m) {
  const float luma = max1(y, m.black_level);
  Pixel p;
  for (int c = 0; c < 3; ++c) p.c[c] = clamp1(fma1(luma, m.luma, chroma.c[c]), 0.0f, 255.0f);
  return p;
}

// Pixel x of a row, given the row's place in each plane. GRAY fills all three channels.
EV_HD Pixel pixel_of_row(Format format, const uint8_t* const* row, int32_t x, const YuvMatrix& yuv) {
  switch (format) {
    case Format::bgr:
    case Format::rgb:
    case Format::bgra: {
      const uint8_t* p = row[0] + static_cast<int64_t>(x) * (format == Format::bgra ? 4 : 3);
      return {{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2])}};
    }
    case Format::gray: {
      const float v = row[0][x];
      return {{v, v, v}};
    }
    case Format::nv12: {
      const uint8_t* pair = row[1] + (x & ~1);
      return yuv_pixel(row[0][x], chroma_terms(pair[0], pair[1], yuv), yuv);
    }
    case Format::i420:
      return yuv_pixel(row[0][x], chroma_terms(row[1][x >> 1], row[2][x >> 1], yuv), yuv);
    case Format::yuyv: {
      const uint8_t* pair = row[0] + static_cast<int64_t>(x >> 1) * 4;
      return yuv_pixel(pair[(x & 1) * 2], chroma_terms(pair[1], pair[3], yuv), yuv);
    }
  }
  return {{0.0f, 0.0f, 0.0f}};
}

// The pixel (x, y) of the frame.
EV_HD Pixel fetch(const RowJob& job, int32_t x, int32_t y) {
  const uint8_t* row[3] = {job.plane[0] + y * job.pitch[0], nullptr, nullptr};
  if (job.format == Format::nv12 || job.format == Format::i420) row[1] = job.plane[1] + (y >> 1) * job.pitch[1];
  if (job.format == Format::i420) row[2] = job.plane[2] + (y >> 1) * job.pitch[2];
  return pixel_of_row(job.format, row, x, job.yuv);
}

EV_HD Pixel lerp_columns(const RowJob& job, int32_t column, int32_t y) {
  const int32_t x = job.columns.first[column];
  Pixel p = fetch(job, x, y);
  if (job.columns.taps > 1) {
    const Pixel right = fetch(job, x + 1, y);
    const float share = job.columns.weight[column];
    for (int c = 0; c < 3; ++c) p.c[c] = lerp1(p.c[c], right.c[c], share);
  }
  return p;
}

EV_HD Pixel resample_lerp(const RowJob& job, int32_t row, int32_t column) {
  const int32_t y = job.rows.first[row];
  Pixel p = lerp_columns(job, column, y);
  if (job.rows.taps > 1) {
    const Pixel below = lerp_columns(job, column, y + 1);
    const float share = job.rows.weight[row];
    for (int c = 0; c < 3; ++c) p.c[c] = lerp1(p.c[c], below.c[c], share);
  }
  return p;
}

// The triangle filter is piecewise linear, and its knots are the same for all outputs: on the piece between two knots,
// the weight of every output is a + b·x. A cell is where a piece of the columns crosses a piece of the rows. There a
// weight is (a + b·x)·(c + d·y), and an output adds c·(a·Σp + b·Σx·p) + d·(a·Σy·p + b·Σx·y·p) over the cell's pixels p.
// So these four sums are all that any output needs of a cell. x and y count from the knots where the pieces begin.
struct CellSums {
  float p, xp, yp, xyp;
};

// A piece's first knot, and those of its pixels that exist: begin … end - 1.
struct Piece {
  int32_t knot, begin, end;
};

EV_HD Piece piece_of(const Axis& axis, int32_t index) {
  const int32_t begin = axis.knot[index], end = axis.knot[index + 1];
  return {begin, begin < axis.low ? axis.low : begin, end > axis.high ? axis.high : end};
}

// Channel c of a format of bytes. The sums are integers, and so exact in any order.
EV_HD CellSums cell_of_bytes(const RowJob& job, const Piece& across, const Piece& down, int32_t c) {
  const int32_t step = job.format == Format::gray ? 1 : job.format == Format::bgra ? 4 : 3;
  int32_t sum_p = 0, sum_xp = 0, sum_yp = 0, sum_xyp = 0;
  EV_ROLLED
  for (int32_t y = down.begin; y < down.end; ++y) {
    const uint8_t* line = job.plane[0] + y * job.pitch[0] + (step == 1 ? 0 : c);
    int32_t row_p = 0, row_xp = 0;
    for (int32_t x = across.begin; x < across.end; ++x) {
      const int32_t sample = line[static_cast<int64_t>(x) * step];
      row_p += sample;
      row_xp += (x - across.knot) * sample;
    }
    sum_p += row_p;
    sum_xp += row_xp;
    sum_yp += (y - down.knot) * row_p;
    sum_xyp += (y - down.knot) * row_xp;
  }
  return {static_cast<float>(sum_p), static_cast<float>(sum_xp), static_cast<float>(sum_yp),
          static_cast<float>(sum_xyp)};
}

// The same for Y'CbCr, whose pixels are not integers: down the columns first, then along the row.
EV_HD CellSums cell_of_yuv(const RowJob& job, const Piece& across, const Piece& down, int32_t c) {
  CellSums sums = {0.0f, 0.0f, 0.0f, 0.0f};
  EV_ROLLED
  for (int32_t x = across.begin; x < across.end; ++x) {
    float column_p = 0.0f, column_yp = 0.0f;
    EV_ROLLED
    for (int32_t y = down.begin; y < down.end; ++y) {
      const float sample = fetch(job, x, y).c[c];
      column_p = column_p + sample;
      column_yp = fma1(static_cast<float>(y - down.knot), sample, column_yp);
    }
    const float position = static_cast<float>(x - across.knot);
    sums = {sums.p + column_p, fma1(position, column_p, sums.xp), sums.yp + column_yp,
            fma1(position, column_yp, sums.xyp)};
  }
  return sums;
}

// One channel: where the compiler knows which, the others are not computed and take no registers.
EV_HD float piecewise_linear_channel(const RowJob& job, int32_t row, int32_t column, int32_t c) {
  const float* across = job.columns.weight + static_cast<int64_t>(column) * job.columns.stride;
  const float* down = job.rows.weight + static_cast<int64_t>(row) * job.rows.stride;
  float sum = 0.0f;
  EV_ROLLED
  for (int32_t i = 0; i < job.rows.taps; ++i) {
    const Piece rows = piece_of(job.rows, job.rows.first[row] + i);
    float sum_p = 0.0f, sum_yp = 0.0f;  // weighted across, not yet down
    EV_ROLLED
    for (int32_t j = 0; j < job.columns.taps; ++j) {
      const Piece columns = piece_of(job.columns, job.columns.first[column] + j);
      const CellSums s = job.format < Format::nv12 ? cell_of_bytes(job, columns, rows, c) : cell_of_yuv(job, columns, rows, c);
      sum_p = fma1(across[2 * j + 1], s.xp, fma1(across[2 * j], s.p, sum_p));
      sum_yp = fma1(across[2 * j + 1], s.xyp, fma1(across[2 * j], s.yp, sum_yp));
    }
    sum = fma1(down[2 * i + 1], sum_yp, fma1(down[2 * i], sum_p, sum));
  }
  return sum;
}

EV_HD Pixel resample_piecewise_linear(const RowJob& job, int32_t row, int32_t column) {
  return {{piecewise_linear_channel(job, row, column, 0), piecewise_linear_channel(job, row, column, 1),
           piecewise_linear_channel(job, row, column, 2)}};
}

// Nearest integer, halves to even. |v| < 2^31.
EV_HD int32_t round_even(float v) {
#if defined(__CUDA_ARCH__)
  return __float2int_rn(v);
#else
  return static_cast<int32_t>(__builtin_rintf(v));
#endif
}

EV_HD bool is_yuv(Format format) { return format >= Format::nv12; }

// Channel c of the tensor, normalised.
EV_HD float tensor_value(const RowJob& job, const Pixel& p, int32_t c) {
  float v = p.c[job.source[c]];
  if (job.channels == 1 && job.format != Format::gray) {  // equal channels keep their value to the last bit
    v = fma1(job.luma_weight[0], p.c[0] - p.c[1], fma1(job.luma_weight[1], p.c[2] - p.c[1], p.c[1]));
  }
  return fma1(v, job.scale[c], job.offset[c]);
}

// IEEE 754 binary16 of v, nearest, halves to even; overflows to infinity.
EV_HD uint16_t to_half(float v) {
#if defined(__CUDA_ARCH__)
  uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(v));
  return half;
#else
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65536 and more
  if (bits < 0x38800000u) {  // below 2^-14: subnormal, a whole number of 2^-24
    float magnitude;
    memcpy(&magnitude, &bits, sizeof magnitude);
    return static_cast<uint16_t>(sign | round_even(magnitude * 16777216.0f));
  }
  bits += 0xfffu + ((bits >> 13) & 1u);  // may carry into the exponent, up to infinity
  return static_cast<uint16_t>(sign | ((bits - 0x38000000u) >> 13));
#endif
}

EV_HD void store(const RowJob& job, int32_t row, int32_t column, int32_t c, float v) {
  const int64_t at = job.layout == Layout::nchw
                         ? (static_cast<int64_t>(c) * job.height + row) * job.width + column
                         : (static_cast<int64_t>(row) * job.width + column) * job.channels + c;
  switch (job.dtype) {
    case Dtype::float32: static_cast<float*>(job.out)[at] = v; break;
    case Dtype::float16: static_cast<uint16_t*>(job.out)[at] = to_half(v); break;
    case Dtype::uint8:
      static_cast<uint8_t*>(job.out)[at] = static_cast<uint8_t>(round_even(clamp1(v, 0.0f, 255.0f)));
      break;
    case Dtype::int8:
      static_cast<int8_t*>(job.out)[at] = static_cast<int8_t>(round_even(clamp1(v, -128.0f, 127.0f)));
      break;
  }
}

// Every channel of the tensor at (row, column): picture or pad.
EV_HD void prepare_pixel(const RowJob& job, int32_t row, int32_t column) {
  const int32_t y = row - job.top, x = column - job.left;
  if (y < 0 || y >= job.rows.count || x < 0 || x >= job.columns.count) {
    for (int32_t c = 0; c < job.channels; ++c) store(job, row, column, c, job.pad[c]);
    return;
  }
  const Pixel p = job.resampling == Resampling::lerp ? resample_lerp(job, y, x) : resample_piecewise_linear(job, y, x);
  for (int32_t c = 0; c < job.channels; ++c) store(job, row, column, c, tensor_value(job, p, c));
}

}  // namespace edgevision
