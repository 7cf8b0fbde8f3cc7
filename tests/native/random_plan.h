// Random plans and pictures for the check programs: odd sizes, single pixels, strides in both directions, regions at the
// borders, every format, encoding, layout and dtype. The same on every machine for the same seed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "plan.h"

namespace edgevision {

constexpr uint8_t kSentinel = 0x5a;
constexpr size_t kGuard = 64;

// std::uniform_int_distribution differs between standard libraries; a digest must not.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int32_t whole(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  double real(double low, double high) {
    return low + (high - low) * (static_cast<double>(engine_() >> 11) / 9007199254740992.0);
  }
  bool coin() { return (engine_() & 1) != 0; }

 private:
  std::mt19937_64 engine_;
};

struct Case {
  Spec spec;
  Source source;
  Placement placement;
};

// One axis of a placement: as long as the tensor, inside it, or over its edges, now and then by far.
inline void random_axis(Random& random, int32_t target, int64_t& resized, int64_t& at) {
  const int32_t kind = random.whole(0, 2);
  resized = target;
  if (kind == 1) resized = random.whole(1, target);
  if (kind == 2) resized = random.whole(target, target * (random.whole(0, 9) == 0 ? 200 : 3));
  const auto room = static_cast<int32_t>(target - resized);
  at = room >= 0 ? random.whole(0, room) : random.whole(room, 0);
}

inline Case random_case(Random& random) {
  Case c{};
  Spec& spec = c.spec;
  const int32_t largest = random.whole(0, 9) == 0 ? 600 : 48;
  spec.height = random.whole(1, largest);
  spec.width = random.whole(1, largest);
  spec.filter = static_cast<Filter>(random.whole(0, 1));
  spec.color = static_cast<Color>(random.whole(0, 2));
  for (int i = 0; i < 3; ++i) {
    spec.mean[i] = random.coin() ? 0.0 : random.real(0, 255);
    spec.std[i] = random.coin() ? 1.0 : random.real(0.3, 255);
  }
  spec.pad_value = random.whole(0, 255);
  spec.layout = static_cast<Layout>(random.whole(0, 1));
  spec.dtype = static_cast<Dtype>(random.whole(0, 3));

  Source& source = c.source;
  source.format = static_cast<Format>(random.whole(0, 6));
  source.encoding = static_cast<Encoding>(random.whole(0, 3));
  const int32_t side = random.whole(0, 9) == 0 ? 400 : 70;
  source.height = random.whole(1, side);
  source.width = random.whole(1, side);
  if (source.format >= Format::nv12) {
    source.height *= 2;
    source.width *= 2;
  }
  if (random.whole(0, 4) == 0) {  // no resampling at all, or a whole factor
    const int32_t factor = random.whole(1, 3);
    if (spec.height * factor <= source.height) source.height = spec.height * factor + (spec.height * factor & 1);
    if (spec.width * factor <= source.width) source.width = spec.width * factor + (spec.width * factor & 1);
  }
  source.region_width = random.coin() ? source.width : random.whole(1, source.width);
  source.region_height = random.coin() ? source.height : random.whole(1, source.height);
  source.x = random.coin() ? source.width - source.region_width : random.whole(0, source.width - source.region_width);
  source.y = random.coin() ? source.height - source.region_height
                           : random.whole(0, source.height - source.region_height);
  random_axis(random, spec.height, c.placement.height, c.placement.top);
  random_axis(random, spec.width, c.placement.width, c.placement.left);
  return c;
}

// Planes of random samples, each in a block of its own size to the byte, so that a sanitizer sees a read outside.
struct Picture {
  std::vector<std::vector<uint8_t>> blocks;
  Planes planes{};
};

inline Picture random_picture(Random& random, const Source& source) {
  Picture picture;
  const int32_t darkest = random.whole(0, 7) == 0 ? 255 : 0;  // a white picture has the largest sums
  for (int32_t p = 0; p < plane_count(source.format); ++p) {
    const PlaneShape shape = plane_shape(source, p);
    const int64_t pitch = shape.row_bytes + (random.coin() ? random.whole(0, 40) : 0);
    std::vector<uint8_t> block(static_cast<size_t>(pitch * (shape.rows - 1) + shape.row_bytes));
    for (uint8_t& sample : block) sample = static_cast<uint8_t>(random.whole(darkest, 255));
    picture.blocks.push_back(std::move(block));
    const uint8_t* data = picture.blocks.back().data();
    const bool upside_down = random.whole(0, 3) == 0;
    picture.planes.data[p] = upside_down ? data + pitch * (shape.rows - 1) : data;
    picture.planes.pitch[p] = upside_down ? -pitch : pitch;
  }
  return picture;
}

// What `run(out)` writes to `size` bytes at out, in the middle of a block of sentinels; empty if it wrote over one.
template <typename Run>
std::vector<uint8_t> run_between_sentinels(size_t size, Run run) {
  std::vector<uint8_t> block(size + 2 * kGuard, kSentinel);
  uint8_t* out = block.data() + kGuard;
  run(out);
  for (size_t i = 0; i < kGuard; ++i) {
    if (block[i] != kSentinel || block[kGuard + size + i] != kSentinel) return {};
  }
  return {out, out + size};
}

inline void describe(const Case& c) {
  const Spec& s = c.spec;
  const Source& f = c.source;
  const Placement& at = c.placement;
  std::fprintf(stderr,
               "tensor %dx%d picture %lldx%lld at %lld,%lld filter %d color %d layout %d dtype %d, frame %dx%d format %d "
               "encoding %d region %d,%d %dx%d\n",
               s.height, s.width, static_cast<long long>(at.height), static_cast<long long>(at.width),
               static_cast<long long>(at.top), static_cast<long long>(at.left), int(s.filter), int(s.color), int(s.layout), int(s.dtype),
               f.height, f.width, int(f.format), int(f.encoding), f.x, f.y, f.region_width, f.region_height);
}

}  // namespace edgevision
