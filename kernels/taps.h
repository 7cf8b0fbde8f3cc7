// Taps: the source pixels that an output pixel is made of, and their weights. Computed in float64, kept in float32.
#pragma once

#include <cstdint>
#include <vector>

#include "row_job.h"

namespace edgevision {

enum class Filter : int32_t { bilinear, triangle };

// One axis of a picture of `source` pixels, resized to `resized`, of which outputs start … start + count - 1 are
// wanted.
struct AxisGeometry {
  int32_t source;
  int64_t resized, start;
  int32_t count;
  int32_t offset;  // of the region: added to every source pixel
};

// The tables behind an Axis.
class AxisTaps {
 public:
  // Pixel centres lie at half: output d is centred on c = (d + 0.5) · source / resized. bilinear: the two pixels around
  // c - 0.5, clamped to the picture. triangle: weight max(0, 1 - |i + 0.5 - c| / s) with s = max(1, source / resized),
  // scaled to sum to 1 over the pixels that exist.
  AxisTaps(const AxisGeometry& axis, Filter filter);

  // Most pixels that any output needs: 1 where each output is exactly one pixel.
  int32_t taps() const { return taps_; }

  // Make the tables of Resampling::lerp (taps() ≤ 2) or ::piecewise_linear, with pieces of at most `longest` pixels.
  void make_lerp();
  void make_piecewise_linear(int32_t longest);

  Axis view() const;

 private:
  AxisGeometry axis_;
  int32_t count_, taps_ = 1, stride_ = 1;
  std::vector<int32_t> first_;   // padded by kTablePadding copies of the last, for vectors that read past the end
  std::vector<double> exact_;    // [count, taps]
  std::vector<float> weight_;
  std::vector<int32_t> knot_;
};

}  // namespace edgevision
