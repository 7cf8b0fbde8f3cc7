// Fuzzes the plan builder (libFuzzer): bytes become a spec and a source, most of them nonsense. Either the plan is refused
// with InvalidArgument, or its tables hold what the loops rely on; small ones are run, and the fastest loops of this CPU
// must give what the scalar ones give. docs/kernels.md says how to run it.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "pixel.h"
#include "plan.h"

namespace {

using namespace edgevision;

// The most weights or pieces that one axis may have, whatever the sizes. Where nothing shrinks, each pixel is a piece.
// Where it does, pieces are long, and an output has four weights for each piece on one side of its centre.
constexpr int64_t kLargestTable = 2 * kMaxFrameSide;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

template <typename Enum>
Enum one_of(FuzzedDataProvider& bytes, Enum last) {
  return static_cast<Enum>(bytes.ConsumeIntegralInRange<int32_t>(0, static_cast<int32_t>(last)));
}

int32_t side(FuzzedDataProvider& bytes, int32_t largest) {
  switch (bytes.ConsumeIntegralInRange<int32_t>(0, 9)) {
    case 0: return bytes.ConsumeIntegral<int32_t>();
    case 1: return bytes.ConsumeIntegralInRange<int32_t>(largest - 2, largest + 1);
    case 2: return bytes.ConsumeIntegralInRange<int32_t>(1, largest);
    case 3: return bytes.ConsumeIntegralInRange<int32_t>(1, 600);
    default: return bytes.ConsumeIntegralInRange<int32_t>(1, 40);
  }
}

double number(FuzzedDataProvider& bytes, double low, double high) {
  switch (bytes.ConsumeIntegralInRange<int32_t>(0, 7)) {
    case 0: return bytes.PickValueInArray({0.0, -0.0, 1.0, -1.0, HUGE_VAL, -HUGE_VAL, double{NAN}, 1e-320, 1e308});
    case 1: return bytes.ConsumeFloatingPoint<double>();
    case 2: return bytes.ConsumeFloatingPointInRange<double>(low, high) * bytes.PickValueInArray({1e-38, 1e-35, 1e35, 1e38});
    default: return bytes.ConsumeFloatingPointInRange<double>(low, high);
  }
}

Spec fuzzed_spec(FuzzedDataProvider& bytes) {
  Spec s{};
  s.height = side(bytes, kMaxTensorSide);
  s.width = side(bytes, kMaxTensorSide);
  s.filter = one_of(bytes, Filter::triangle);
  s.color = one_of(bytes, Color::gray);
  for (double& mean : s.mean) mean = number(bytes, -300.0, 300.0);
  for (double& std : s.std) std = number(bytes, 0.0, 300.0);
  s.pad_value = number(bytes, 0.0, 255.0);
  s.layout = one_of(bytes, Layout::nhwc);
  s.dtype = one_of(bytes, Dtype::int8);
  return s;
}

Source fuzzed_source(FuzzedDataProvider& bytes) {
  Source s{};
  s.height = side(bytes, kMaxFrameSide);
  s.width = side(bytes, kMaxFrameSide);
  s.format = one_of(bytes, Format::yuyv);
  s.encoding = one_of(bytes, Encoding::bt709_full);
  if (is_yuv(s.format) && bytes.ConsumeIntegralInRange<int32_t>(0, 7) != 0) {
    s.height &= ~1;
    s.width &= ~1;
  }
  if (bytes.ConsumeBool()) {
    s.region_height = s.height;
    s.region_width = s.width;
  } else if (bytes.ConsumeBool() && s.height > 0 && s.width > 0) {
    s.y = bytes.ConsumeIntegralInRange<int32_t>(0, s.height - 1);
    s.x = bytes.ConsumeIntegralInRange<int32_t>(0, s.width - 1);
    s.region_height = bytes.ConsumeIntegralInRange<int32_t>(1, s.height - s.y);
    s.region_width = bytes.ConsumeIntegralInRange<int32_t>(1, s.width - s.x);
  } else {
    s.y = side(bytes, kMaxFrameSide);
    s.x = side(bytes, kMaxFrameSide);
    s.region_height = side(bytes, kMaxFrameSide);
    s.region_width = side(bytes, kMaxFrameSide);
  }
  return s;
}

// One axis of a placement: nonsense, or inside the tensor, or over its edges.
void fuzzed_axis(FuzzedDataProvider& bytes, int32_t target, int64_t& resized, int64_t& at) {
  const auto range = [&](int64_t low, int64_t high) {
    return bytes.ConsumeIntegralInRange<int64_t>(std::min(low, high), std::max(low, high));
  };
  switch (bytes.ConsumeIntegralInRange<int32_t>(0, 7)) {
    case 0: resized = bytes.ConsumeIntegral<int64_t>(); break;
    case 1: resized = range(kMaxResizedSide - 2, kMaxResizedSide + 1); break;
    case 2: resized = range(1, kMaxResizedSide); break;
    case 3: resized = range(1, target); break;
    case 4: resized = range(target, int64_t{target} * 4); break;
    default: resized = target;
  }
  if (resized < 0 || resized > 2 * kMaxResizedSide || bytes.ConsumeIntegralInRange<int32_t>(0, 7) == 0) {
    at = bytes.ConsumeIntegral<int64_t>();
  } else {
    at = range(0, target - resized);
  }
}

Placement fuzzed_placement(FuzzedDataProvider& bytes, const Spec& spec) {
  Placement placement{};
  fuzzed_axis(bytes, spec.height, placement.height, placement.top);
  fuzzed_axis(bytes, spec.width, placement.width, placement.left);
  return placement;
}

// What every loop takes for granted of an axis that covers pixels begin … begin + size - 1 of the frame.
void check_axis(const Axis& axis, Resampling resampling, int32_t begin, int32_t size, int32_t longest_piece) {
  const bool by_piece = resampling == Resampling::piecewise_linear;
  expect(axis.count >= 1 && axis.taps >= 1, "an axis has outputs, and an output has taps");
  expect(static_cast<int64_t>(axis.count) * axis.stride <= kLargestTable, "tables are of bounded size");
  if (by_piece) {
    expect(axis.low == begin && axis.high == begin + size, "pieces are cut to the region");
    expect(axis.pieces >= 1 && axis.pieces <= kLargestTable, "the number of pieces is bounded");
    for (int32_t n = 0; n < axis.pieces; ++n) {
      const int32_t length = axis.knot[n + 1] - axis.knot[n];
      expect(length >= 0 && length <= longest_piece, "a piece is short enough for its sums");
    }
  }
  for (int32_t i = 0; i < axis.count; ++i) {
    const int32_t low = by_piece ? 0 : begin, high = by_piece ? axis.pieces : begin + size;
    expect(axis.first[i] >= low && axis.first[i] <= high - axis.taps, "taps lie inside the region");
    expect(i == 0 || axis.first[i] >= axis.first[i - 1], "taps move in one direction");
    const int64_t at = static_cast<int64_t>(i) * axis.stride;
    double sum = 0.0;
    switch (resampling) {
      case Resampling::lerp:
        expect(axis.taps <= 2 && axis.weight[i] >= 0.0f && axis.weight[i] <= 1.0f, "a share is one");
        break;
      case Resampling::piecewise_linear:
        for (int32_t k = 0; k < axis.taps; ++k) {
          const int32_t* ends = axis.knot + axis.first[i] + k;
          for (int32_t x = std::max(ends[0], axis.low); x < std::min(ends[1], axis.high); ++x) {
            const double weight = static_cast<double>(axis.weight[at + 2 * k]) +
                                  static_cast<double>(axis.weight[at + 2 * k + 1]) * (x - ends[0]);
            expect(weight >= -1e-6, "no weight is negative");
            sum += weight;
          }
        }
        expect(std::abs(sum - 1.0) <= 1e-6, "weights of all pieces sum to 1");
        break;
    }
  }
}

void check_plan(const Plan& plan) {
  const RowJob& job = plan.job();
  const Source& source = plan.source();
  check_axis(job.rows, job.resampling, source.y, source.region_height, kMaxPieceRows);
  check_axis(job.columns, job.resampling, source.x, source.region_width, kMaxPieceColumns);
  expect(job.top >= 0 && job.top + job.rows.count <= job.height, "the picture's rows lie in the tensor");
  expect(job.left >= 0 && job.left + job.columns.count <= job.width, "the picture's columns lie in the tensor");
  for (int32_t c = 0; c < job.channels; ++c) {
    expect(job.source[c] >= 0 && job.source[c] < 3, "a channel has a source");
    expect(std::isfinite(job.scale[c]) && std::isfinite(job.offset[c]) && std::isfinite(job.pad[c]),
           "normalisation is finite");
  }
}

// Pixels along an axis that the scalar loops look at for one output.
int64_t pixels(const Axis& axis, Resampling resampling) {
  if (resampling != Resampling::piecewise_linear) return axis.taps;
  const int32_t* knot = axis.knot + axis.first[0];
  return 2 + knot[axis.taps] - knot[0];
}

// Whether the scalar loops are done with it in milliseconds.
bool is_small(const Plan& plan) {
  const RowJob& job = plan.job();
  int64_t plane_total = 0;
  for (int32_t p = 0; p < plane_count(job.format); ++p) {
    const PlaneShape shape = plane_shape(plan.source(), p);
    plane_total += shape.rows * shape.row_bytes;
  }
  const int64_t samples = static_cast<int64_t>(job.rows.count) * job.columns.count *
                          pixels(job.rows, job.resampling) * pixels(job.columns, job.resampling);
  return plane_total <= 1 << 16 && plan.out_bytes() <= 1 << 16 && samples <= 1 << 16;
}

void compare(const Plan& plan, const Placement& placement, FuzzedDataProvider& bytes) {
  std::vector<std::unique_ptr<uint8_t[]>> blocks;  // each of its own size to the byte
  Planes planes{};
  uint32_t noise = bytes.ConsumeIntegral<uint32_t>();
  const bool white = bytes.ConsumeIntegralInRange<int32_t>(0, 3) == 0;  // the largest sums
  for (int32_t p = 0; p < plane_count(plan.source().format); ++p) {
    const PlaneShape shape = plane_shape(plan.source(), p);
    const int64_t pitch = shape.row_bytes + bytes.ConsumeIntegralInRange<int32_t>(0, 40);
    const int64_t size = pitch * (shape.rows - 1) + shape.row_bytes;
    blocks.emplace_back(new uint8_t[static_cast<size_t>(size)]);
    for (int64_t i = 0; i < size; ++i) {
      noise = noise * 1664525u + 1013904223u;
      blocks.back()[static_cast<size_t>(i)] = white ? 255 : static_cast<uint8_t>(noise >> 24);
    }
    const bool upside_down = bytes.ConsumeBool();
    planes.data[p] = blocks.back().get() + (upside_down ? pitch * (shape.rows - 1) : 0);
    planes.pitch[p] = upside_down ? -pitch : pitch;
  }
  const int32_t height = plan.spec().height, split = bytes.ConsumeIntegralInRange<int32_t>(0, height);
  // Filled with different bytes: one that neither writes is a difference.
  const auto size = static_cast<size_t>(plan.out_bytes());
  std::vector<uint8_t> expected(size, 0x5a), got(size, 0xa5);
  Plan(plan.spec(), plan.source(), placement, *find_loops("scalar")).run_rows(planes, expected.data(), false, 0, height);
  plan.run_rows(planes, got.data(), false, split, height);
  plan.run_rows(planes, got.data(), false, 0, split);
  expect(got == expected, "the fastest loops give what the scalar ones give");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider bytes(data, size);
  const Spec spec = fuzzed_spec(bytes);
  const Source source = fuzzed_source(bytes);
  const Placement placement = fuzzed_placement(bytes, spec);
  std::unique_ptr<const Plan> plan;
  try {
    plan = std::make_unique<Plan>(spec, source, placement, *available_loops().front());
  } catch (const InvalidArgument&) {
    return 0;
  }
  check_plan(*plan);
  if (is_small(*plan)) compare(*plan, placement, bytes);
  return 0;
}
