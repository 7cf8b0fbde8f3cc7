// Greedy, class-aware non-maximum suppression over a batch.

#pragma once

#include <cstddef>
#include <cstdint>

namespace edgevision {

// Boxes as x1 y1 x2 y2; each of the three strides counts floats and may be negative. Scores, and classes where there
// are any, are dense [items, boxes_per_item].
struct NmsBatch {
  std::size_t items;
  std::size_t boxes_per_item;  // at most 2^32 - 1
  const float* boxes;
  std::ptrdiff_t item_stride;
  std::ptrdiff_t box_stride;
  std::ptrdiff_t coordinate_stride;
  const float* scores;
  const std::int64_t* classes;  // nullptr: every box competes with every other
};

struct NmsOptions {
  double iou_threshold;   // 0...1: an IoU above it suppresses
  float score_threshold;  // not NaN: a score above it makes a candidate
};

// Writes the kept boxes of item i, best first, to kept[i * max_kept ...] and their number to counts[i].
// Returns -1, or the flat index of the first NaN score; what was written by then means nothing.
//
// Best first: higher score, then lower index. The IoU is computed with the float32 operations of
// torchvision/csrc/ops/cpu/nms_kernel.cpp, so that decisions are the same to the last bit. A candidate with a NaN or
// infinite coordinate is left out; an empty or inverted one has no overlap with anything and stays.
std::int64_t nms(const NmsBatch& batch, const NmsOptions& options, std::size_t max_kept, std::int64_t* kept,
                 std::int64_t* counts);

}  // namespace edgevision
