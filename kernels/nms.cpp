#include "nms.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <vector>

namespace edgevision {
namespace {

// Loops over this many lanes have no tail and no early exit, and so compile to SIMD for any CPU.
constexpr std::size_t kLanes = 8;
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

struct Box {
  float x1, y1, x2, y2, area;
};

// Kept boxes of one class as a structure of arrays. Unused lanes are empty boxes, which overlap with nothing.
struct Block {
  float x1[kLanes] = {}, y1[kLanes] = {}, x2[kLanes] = {}, y2[kLanes] = {}, area[kLanes] = {};
  std::uint32_t used = 0;
  std::uint32_t next = kNone;
};

struct Chain {  // of blocks, the best boxes first
  std::uint32_t first = kNone;
  std::uint32_t last = kNone;
};

// The largest float that is not above `threshold`: for every float x, x > result exactly where x > threshold.
float floor_to_float(double threshold) {
  const float nearest = static_cast<float>(threshold);
  return nearest > threshold ? std::nextafter(nearest, -std::numeric_limits<float>::infinity()) : nearest;
}

// Ascending keys are descending scores, equal scores by ascending index.
std::uint64_t sort_key(float score, std::size_t index) {
  score += 0.0f;  // -0 becomes +0: they are equal scores
  std::uint32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  const std::uint32_t ascending = (bits >> 31) ? ~bits : bits | 0x80000000u;
  return (std::uint64_t{~ascending} << 32) | index;
}

// Least significant digit first, on the score's half of the key alone: each pass is stable, and keys come in by
// ascending index. Several times as fast as std::sort on thousands of candidates.
void radix_sort(std::vector<std::uint64_t>& keys, std::vector<std::uint64_t>& scratch) {
  constexpr unsigned kDigitBits = 11, kPasses = 3;
  std::array<std::array<std::uint32_t, 1u << kDigitBits>, kPasses> places{};
  const auto digit = [](std::uint64_t key, unsigned pass) {
    return static_cast<std::size_t>(key >> (32 + pass * kDigitBits)) & ((1u << kDigitBits) - 1);
  };
  for (const std::uint64_t key : keys) {
    for (unsigned pass = 0; pass < kPasses; ++pass) ++places[pass][digit(key, pass)];
  }
  scratch.resize(keys.size());
  for (unsigned pass = 0; pass < kPasses; ++pass) {
    std::uint32_t place = 0;
    for (std::uint32_t& entry : places[pass]) {
      const std::uint32_t count = entry;
      entry = place;
      place += count;
    }
    for (const std::uint64_t key : keys) scratch[places[pass][digit(key, pass)]++] = key;
    keys.swap(scratch);
  }
}

class Suppressor {
 public:
  explicit Suppressor(float iou_threshold) : iou_threshold_(iou_threshold) {}

  void clear() {
    blocks_.clear();
    chains_.clear();
  }

  // Keeps the box unless a box kept earlier for the class overlaps with it too much.
  bool keep(std::int64_t class_id, const Box& box) {
    Chain& chain = chains_[class_id];
    for (std::uint32_t at = chain.first; at != kNone; at = blocks_[at].next) {
      if (overlaps(blocks_[at], box)) return false;
    }
    append(chain, box);
    return true;
  }

 private:
  bool overlaps(const Block& kept, const Box& box) const {
    std::int32_t hits = 0;
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float width = std::max(0.0f, std::min(kept.x2[i], box.x2) - std::max(kept.x1[i], box.x1));
      const float height = std::max(0.0f, std::min(kept.y2[i], box.y2) - std::max(kept.y1[i], box.y1));
      const float common = width * height;
      const float iou = common / (kept.area[i] + box.area - common);
      hits |= iou > iou_threshold_ ? 1 : 0;  // 0/0 of two empty boxes is NaN: no
    }
    return hits != 0;
  }

  void append(Chain& chain, const Box& box) {
    if (chain.last == kNone || blocks_[chain.last].used == kLanes) {
      const auto added = static_cast<std::uint32_t>(blocks_.size());
      blocks_.emplace_back();
      (chain.last == kNone ? chain.first : blocks_[chain.last].next) = added;
      chain.last = added;
    }
    Block& block = blocks_[chain.last];
    const std::uint32_t lane = block.used++;
    block.x1[lane] = box.x1;
    block.y1[lane] = box.y1;
    block.x2[lane] = box.x2;
    block.y2[lane] = box.y2;
    block.area[lane] = box.area;
  }

  float iou_threshold_;
  std::vector<Block> blocks_;  // of all classes
  std::unordered_map<std::int64_t, Chain> chains_;
};

// Appends the keys of scores above the threshold. Returns n, or the index of the first NaN.
std::size_t select(const float* scores, std::size_t n, float threshold, std::vector<std::uint64_t>& keys) {
  constexpr std::size_t kStep = 16;
  for (std::size_t start = 0; start < n; start += kStep) {
    const std::size_t stop = std::min(n, start + kStep);
    if (stop - start == kStep) {  // few blocks of a detector's output hold a candidate
      std::int32_t hits = 0;
      for (std::size_t i = 0; i < kStep; ++i) hits |= !(scores[start + i] <= threshold) ? 1 : 0;
      if (hits == 0) continue;
    }
    for (std::size_t i = start; i < stop; ++i) {
      if (scores[i] > threshold) {
        keys.push_back(sort_key(scores[i], i));
      } else if (std::isnan(scores[i])) {
        return i;
      }
    }
  }
  return n;
}

}  // namespace

std::int64_t nms(const NmsBatch& batch, const NmsOptions& options, std::size_t max_kept, std::int64_t* kept,
                 std::int64_t* counts) {
  constexpr std::size_t kWorthRadix = 512;  // below, clearing the histograms costs more than std::sort
  const std::size_t n = batch.boxes_per_item;
  Suppressor suppressor(floor_to_float(options.iou_threshold));
  std::vector<std::uint64_t> keys, scratch;
  for (std::size_t item = 0; item < batch.items; ++item) {
    keys.clear();
    const std::size_t selected = select(batch.scores + item * n, n, options.score_threshold, keys);
    if (selected != n) return static_cast<std::int64_t>(item * n + selected);
    if (keys.size() < kWorthRadix) {
      std::sort(keys.begin(), keys.end());
    } else {
      radix_sort(keys, scratch);
    }
    suppressor.clear();
    const float* boxes = batch.boxes + static_cast<std::ptrdiff_t>(item) * batch.item_stride;
    std::size_t count = 0;
    for (auto key = keys.begin(); key != keys.end() && count < max_kept; ++key) {
      const std::size_t index = *key & 0xffffffffu;
      const float* at = boxes + static_cast<std::ptrdiff_t>(index) * batch.box_stride;
      const std::ptrdiff_t step = batch.coordinate_stride;
      Box box{at[0], at[step], at[2 * step], at[3 * step], 0.0f};
      if (!(std::isfinite(box.x1) && std::isfinite(box.y1) && std::isfinite(box.x2) && std::isfinite(box.y2))) continue;
      box.area = (box.x2 - box.x1) * (box.y2 - box.y1);
      if (suppressor.keep(batch.classes ? batch.classes[item * n + index] : 0, box)) {
        kept[item * max_kept + count++] = static_cast<std::int64_t>(index);
      }
    }
    counts[item] = static_cast<std::int64_t>(count);
  }
  return -1;
}

}  // namespace edgevision
