#include "plan.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "pixel.h"

namespace edgevision {
namespace {

[[noreturn]] void fail(const std::string& message) { throw InvalidArgument(message); }

std::string size_text(int64_t height, int64_t width) {
  return std::to_string(height) + "×" + std::to_string(width) + " pixels (height×width)";
}

void check_spec(const Spec& spec) {
  if (spec.height < 1 || spec.width < 1 || spec.height > kMaxTensorSide || spec.width > kMaxTensorSide) {
    fail("expected a tensor of 1…" + std::to_string(kMaxTensorSide) + " pixels a side, got " +
         size_text(spec.height, spec.width));
  }
  for (int32_t c = 0; c < channels(spec.color); ++c) {
    // float32 has to hold 1/std and mean/std, with room for 255 times as much.
    const double scale = 1.0 / spec.std[c], offset = spec.mean[c] / spec.std[c];
    if (!(spec.std[c] > 0.0) || !(scale < 1e35) || !(scale > 1e-35) || !(std::abs(offset) < 1e35)) {
      fail("expected a mean and a std in pixel units that float32 can hold, got mean " + std::to_string(spec.mean[c]) +
           " and std " + std::to_string(spec.std[c]));
    }
  }
  if (!(spec.pad_value >= 0.0 && spec.pad_value <= 255.0)) {
    fail("expected a pad value within 0…255, got " + std::to_string(spec.pad_value));
  }
}

void check_source(const Source& s) {
  if (s.height < 1 || s.width < 1 || s.height > kMaxFrameSide || s.width > kMaxFrameSide) {
    fail("expected a frame of 1…" + std::to_string(kMaxFrameSide) + " pixels a side, got " +
         size_text(s.height, s.width));
  }
  const bool half_height = s.format == Format::nv12 || s.format == Format::i420;
  if (is_yuv(s.format) && (s.width % 2 != 0 || (half_height && s.height % 2 != 0))) {
    fail("expected an even width (and height, but for YUYV) of a YUV frame, got " + size_text(s.height, s.width));
  }
  if (s.x < 0 || s.y < 0 || s.region_width < 1 || s.region_height < 1 || s.region_width > s.width - s.x ||
      s.region_height > s.height - s.y) {
    fail("expected a region (x, y, width, height) inside the frame of " + std::to_string(s.width) + "×" +
         std::to_string(s.height) + " pixels, got (" + std::to_string(s.x) + ", " + std::to_string(s.y) + ", " +
         std::to_string(s.region_width) + ", " + std::to_string(s.region_height) + ")");
  }
}

void check_axis(const char* axis, int64_t resized, int64_t at, int32_t target) {
  if (resized >= 1 && resized <= kMaxResizedSide && at >= std::min<int64_t>(0, target - resized) &&
      at <= std::max<int64_t>(0, target - resized)) {
    return;
  }
  fail(std::string("expected a placement whose ") + axis + " lie inside the tensor's " + std::to_string(target) +
       " or cover them, got " + std::to_string(resized) + " at " + std::to_string(at));
}

void check_placement(const Spec& spec, const Placement& at) {
  check_axis("rows", at.height, at.top, spec.height);
  check_axis("columns", at.width, at.left, spec.width);
}

AxisGeometry visible(int32_t source, int64_t resized, int64_t at, int32_t target, int32_t offset) {
  return {source, resized, std::max<int64_t>(-at, 0), static_cast<int32_t>(std::min<int64_t>(resized, target)), offset};
}

// ITU-R BT.601 and BT.709: edgevision/preprocess/color.py is the same in NumPy.
YuvMatrix yuv_matrix(Encoding encoding) {
  const bool bt601 = encoding == Encoding::bt601_limited || encoding == Encoding::bt601_full;
  const bool limited = encoding == Encoding::bt601_limited || encoding == Encoding::bt709_limited;
  const double kr = bt601 ? 0.299 : 0.2126, kb = bt601 ? 0.114 : 0.0722, kg = 1.0 - kr - kb;
  const double luma = limited ? 255.0 / 219.0 : 1.0, chroma = limited ? 255.0 / 224.0 : 1.0;
  const double black_level = limited ? 16.0 : 0.0;
  const double blue_cb = chroma * 2.0 * (1.0 - kb), red_cr = chroma * 2.0 * (1.0 - kr);
  const double green_cb = -blue_cb * kb / kg, green_cr = -red_cr * kr / kg;
  const double black_offset = -luma * black_level;
  const auto f = [](double v) { return static_cast<float>(v); };
  return {f(black_level), f(luma), f(blue_cb), f(green_cb), f(green_cr), f(red_cr),
          {f(black_offset - blue_cb * 128.0), f(black_offset - (green_cb + green_cr) * 128.0),
           f(black_offset - red_cr * 128.0)}};
}

constexpr double kLumaBlue = 0.114, kLumaRed = 0.299;  // BT.601, as OpenCV and Pillow make grey

size_t element_bytes(Dtype dtype) {
  return dtype == Dtype::float32 ? 4 : dtype == Dtype::float16 ? 2 : 1;
}

// The pad of each channel, rounded to the tensor's dtype.
template <typename T, typename Convert>
void fill(const RowJob& job, int32_t row, int32_t begin, int32_t end, Convert convert) {
  if (begin >= end) return;
  T* out = static_cast<T*>(job.out);
  if (job.layout == Layout::nchw) {
    for (int32_t c = 0; c < job.channels; ++c) {
      T* line = out + (static_cast<int64_t>(c) * job.height + row) * job.width;
      std::fill(line + begin, line + end, convert(job.pad[c]));
    }
    return;
  }
  T* line = out + static_cast<int64_t>(row) * job.width * job.channels;
  for (int32_t x = begin; x < end; ++x) {
    for (int32_t c = 0; c < job.channels; ++c) line[x * job.channels + c] = convert(job.pad[c]);
  }
}

void fill_pad(const RowJob& job, int32_t row, int32_t begin, int32_t end) {
  switch (job.dtype) {
    case Dtype::float32: return fill<float>(job, row, begin, end, [](float v) { return v; });
    case Dtype::float16: return fill<uint16_t>(job, row, begin, end, [](float v) { return to_half(v); });
    case Dtype::uint8:
      return fill<uint8_t>(job, row, begin, end,
                           [](float v) { return static_cast<uint8_t>(round_even(clamp1(v, 0.0f, 255.0f))); });
    case Dtype::int8:
      return fill<int8_t>(job, row, begin, end,
                          [](float v) { return static_cast<int8_t>(round_even(clamp1(v, -128.0f, 127.0f))); });
  }
}

void pad_row(const RowJob& job, int32_t row) {
  const int32_t y = row - job.top;
  if (y < 0 || y >= job.rows.count) return fill_pad(job, row, 0, job.width);
  fill_pad(job, row, 0, job.left);
  fill_pad(job, row, job.left + job.columns.count, job.width);
}

}  // namespace

int32_t channels(Color color) { return color == Color::gray ? 1 : 3; }

int32_t plane_count(Format format) { return format == Format::nv12 ? 2 : format == Format::i420 ? 3 : 1; }

PlaneShape plane_shape(const Source& s, int32_t index) {
  const int64_t width = s.width;
  switch (s.format) {
    case Format::bgr:
    case Format::rgb: return {s.height, width * 3};
    case Format::bgra: return {s.height, width * 4};
    case Format::gray: return {s.height, width};
    case Format::yuyv: return {s.height, width * 2};
    case Format::nv12: return index == 0 ? PlaneShape{s.height, width} : PlaneShape{s.height / 2, width};
    case Format::i420: return index == 0 ? PlaneShape{s.height, width} : PlaneShape{s.height / 2, width / 2};
  }
  return {0, 0};
}

Plan::Plan(const Spec& spec, const Source& source, const Placement& placement, const Loops& loops)
    : spec_((check_spec(spec), spec)),
      source_((check_source(source), source)),
      placement_((check_placement(spec, placement), placement)),
      loops_(loops),
      rows_(visible(source.region_height, placement_.height, placement_.top, spec.height, source.y), spec.filter),
      columns_(visible(source.region_width, placement_.width, placement_.left, spec.width, source.x), spec.filter) {
  RowJob& job = job_;
  if (rows_.taps() <= 2 && columns_.taps() <= 2) {
    job.resampling = Resampling::lerp;
    rows_.make_lerp();
    columns_.make_lerp();
  } else {
    job.resampling = Resampling::piecewise_linear;
    rows_.make_piecewise_linear(kMaxPieceRows);
    columns_.make_piecewise_linear(kMaxPieceColumns);
  }
  job.rows = rows_.view();
  job.columns = columns_.view();
  job.format = source.format;
  job.yuv = yuv_matrix(source.encoding);

  job.height = spec.height;
  job.width = spec.width;
  job.channels = channels(spec.color);
  job.top = static_cast<int32_t>(std::max<int64_t>(placement_.top, 0));
  job.left = static_cast<int32_t>(std::max<int64_t>(placement_.left, 0));
  job.layout = spec.layout;
  job.dtype = spec.dtype;

  const bool memory_is_rgb = source.format == Format::rgb;
  const bool swapped = memory_is_rgb != (spec.color == Color::rgb);
  for (int32_t c = 0; c < job.channels; ++c) {
    job.source[c] = source.format == Format::gray || spec.color == Color::gray ? 0 : swapped ? 2 - c : c;
    job.scale[c] = static_cast<float>(1.0 / spec.std[c]);
    job.offset[c] = static_cast<float>(-spec.mean[c] / spec.std[c]);
    job.pad[c] = static_cast<float>((spec.pad_value - spec.mean[c]) / spec.std[c]);
  }
  job.luma_weight[0] = static_cast<float>(memory_is_rgb ? kLumaRed : kLumaBlue);
  job.luma_weight[1] = static_cast<float>(memory_is_rgb ? kLumaBlue : kLumaRed);

  scratch_bytes_ = (loops.scratch_bytes(job) + 63) / 64 * 64;
  workspaces_.reserve(scratch_bytes_ + copied_rows_bytes(source));
}

int64_t Plan::out_bytes() const {
  return static_cast<int64_t>(spec_.height) * spec_.width * job_.channels *
         static_cast<int64_t>(element_bytes(spec_.dtype));
}

void Plan::write_pad(void* out, int32_t begin, int32_t end) const {
  RowJob job = job_;
  job.out = out;
  for (int32_t row = begin; row < end; ++row) pad_row(job, row);
}

}  // namespace edgevision
