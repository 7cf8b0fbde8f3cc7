// RowJob: one frame, or one region of a frame, that becomes one item of a batch. It is plain data, and all that a loop
// needs to compute any row of that item. Which rows a call computes is an argument of their own.
//
// The CPU loops and the CUDA kernel read the same struct: with pointers of the host, or of the device (CudaJob).
#pragma once

#include <stdint.h>

namespace edgevision {

enum class Format : int32_t { bgr, rgb, bgra, gray, nv12, i420, yuyv };
enum class Layout : int32_t { nchw, nhwc };
enum class Dtype : int32_t { float32, float16, uint8, int8 };

// How source pixels become one output pixel.
enum class Resampling : int32_t {
  lerp,              // linear interpolation of at most 2×2 pixels, in float32: along the row, then down the column
  piecewise_linear,  // a filter of any width, linear on each of a few pieces: pixel.h's CellSums says how
};

// Tables of lerp have this many more entries than outputs, for vectors that read past the end.
constexpr int32_t kTablePadding = 8;

// The longest pieces: Σ y·p down the rows of one fits an int16 for each column of bytes, Σ x·y·p over a cell an int32.
constexpr int32_t kMaxPieceRows = 16;
constexpr int32_t kMaxPieceColumns = 256;

// Resampling of one axis. Output i is a weighted sum of `taps` pixels from first[i] on, counted in pixels of the frame.
// For Resampling::piecewise_linear, it is one of `taps` pieces from first[i] on, on each of which its weight is linear.
struct Axis {
  const int32_t* first;
  const float* weight;  // lerp: [count], that of pixel first[i] + 1; piecewise_linear: [count, stride]
  int32_t count;  // outputs
  int32_t taps;
  int32_t stride;  // weights from one output to the next

  // piecewise_linear: the pieces lie between knots. Piece n holds the pixels knot[n] … knot[n + 1] - 1, of which only
  // those within low … high - 1 exist. Output i has two weights for its k-th piece, n = first[i] + k: pixel x counts
  // weight[i·stride + 2k] + (x - knot[n]) · weight[i·stride + 2k + 1].
  const int32_t* knot;
  int32_t pieces, low, high;
};

// Y'CbCr samples to B, G, R in 0…255: c = luma·max(Y, black_level) + its factors of Cb and Cr + bias, then clamped.
struct YuvMatrix {
  float black_level;  // 16 in limited range, 0 in full range
  float luma;
  float blue_cb, green_cb, green_cr, red_cr;
  float bias[3];  // B, G, R
};

struct RowJob {
  const uint8_t* plane[3];
  int64_t pitch[3];  // bytes from one row of a plane to the next; may be negative

  Axis rows, columns;
  Format format;
  Resampling resampling;
  YuvMatrix yuv;

  // The tensor. The picture covers rows.count × columns.count of it, from (top, left); the rest is pad.
  void* out;
  int32_t height, width, channels;
  int32_t top, left;
  Layout layout;
  Dtype dtype;

  // Channel c of the tensor = scale[c] · p + offset[c], p being channel source[c] of the pixel as it lies in memory.
  int32_t source[3];
  float scale[3], offset[3];
  float pad[3];        // in the tensor's units, before rounding to dtype
  float luma_weight[2];  // of the memory's first and third channel; used where channels is 1 and the frame has colour
};

}  // namespace edgevision
