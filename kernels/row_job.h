// RowJob: one frame, or one region of a frame, that becomes one item of a batch. It is plain data, and all that a loop needs
// to compute any row of that item. Which rows a call computes is an argument of their own.
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
  lerp,     // at most 2×2 pixels, float32: along the row, then down the column
  moments,  // any number of taps: sums over segments of the filter, in integers where pixels are bytes
};

// Tables of lerp are padded by as much, for vectors that read past the end.
constexpr int32_t kParts = 8;

// Longest segments of Resampling::moments: an int16 holds the moment of a column of bytes, an int32 that of a cell.
constexpr int32_t kSegmentRows = 16;
constexpr int32_t kSegmentColumns = 256;

// Resampling of one axis. Output i is made of the source pixels first[i] … first[i] + taps - 1, in pixels of the frame;
// for Resampling::moments, of the segments first[i] … first[i] + taps - 1, over each of which its weight is linear.
struct Axis {
  const int32_t* first;
  const float* weight;  // lerp: [count], the share of pixel first[i] + 1; moments: [count, stride]
  int32_t count;  // outputs
  int32_t taps;
  int32_t stride;  // weights from one output to the next

  // moments: segment s holds the pixels from segment[s] to segment[s + 1] - 1 that are within low … high - 1. Output i
  // weighs pixel x of its segment k by weight[i·stride + 2k] + (x - segment[first[i] + k]) · weight[i·stride + 2k + 1].
  const int32_t* segment;
  int32_t segments, low, high;
};

// Y'CbCr samples to B, G, R in 0…255: c = luma·max(Y, foot) + (blue, red part) + bias, then clamped.
struct YuvMatrix {
  float foot;  // 16 in limited range, 0 in full range
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

  // Channel c of the tensor = scale[c] · (channel source[c] of the pixel as it lies in memory) + offset[c].
  int32_t source[3];
  float scale[3], offset[3];
  float pad[3];        // in the tensor's units, before rounding to dtype
  float luma_weight[2];  // of the memory's first and third channel; used where channels is 1 and the frame has colour
};

}  // namespace edgevision
