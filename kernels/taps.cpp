#include "taps.h"

#include <algorithm>
#include <cmath>

namespace edgevision {
namespace {

// Smaller weights are rounding errors where the triangle touches zero: no pixel is read for them.
constexpr double kMinWeight = 1e-9;

struct Output {
  int32_t first;
  std::vector<double> weights;
};

Output bilinear(double centre, int32_t source) {
  const double position = std::clamp(centre - 0.5, 0.0, source - 1.0);
  const double left = std::floor(position);
  const double share = position - left;
  if (share == 0.0) return {static_cast<int32_t>(left), {1.0}};
  return {static_cast<int32_t>(left), {1.0 - share, share}};
}

Output triangle(double centre, int32_t source, double support) {
  const auto low = static_cast<int32_t>(std::max(std::floor(centre - support), 0.0));
  const auto high = static_cast<int32_t>(std::min(std::ceil(centre + support), static_cast<double>(source)));
  Output output{low, {}};
  double sum = 0.0;
  for (int32_t i = low; i < high; ++i) {
    const double weight = 1.0 - std::abs(i + 0.5 - centre) / support;
    if (weight < kMinWeight) {
      if (output.weights.empty()) {
        ++output.first;
        continue;
      }
      break;
    }
    output.weights.push_back(weight);
    sum += weight;
  }
  for (double& weight : output.weights) weight /= sum;
  return output;
}

}  // namespace

AxisTaps::AxisTaps(const AxisGeometry& axis, Filter filter) : axis_(axis), count_(axis.count) {
  const double scale = static_cast<double>(axis.source) / static_cast<double>(axis.resized);
  std::vector<Output> outputs;
  outputs.reserve(static_cast<size_t>(count_));
  for (int32_t i = 0; i < count_; ++i) {
    const double centre = (static_cast<double>(axis.start + i) + 0.5) * scale;
    // Where nothing shrinks, the triangle is as wide as the bilinear pair.
    outputs.push_back(filter == Filter::bilinear || scale <= 1.0 ? bilinear(centre, axis.source)
                                                                 : triangle(centre, axis.source, scale));
    taps_ = std::max(taps_, static_cast<int32_t>(outputs.back().weights.size()));
  }
  // Every output reads `taps_` pixels: those that need fewer begin early enough to stay inside, with zero weights.
  exact_.assign(static_cast<size_t>(count_) * static_cast<size_t>(taps_), 0.0);
  for (int32_t i = 0; i < count_; ++i) {
    const Output& output = outputs[static_cast<size_t>(i)];
    const int32_t first = std::min(output.first, axis.source - taps_);
    first_.push_back(axis.offset + first);
    std::copy(output.weights.begin(), output.weights.end(),
              exact_.begin() + static_cast<int64_t>(i) * taps_ + (output.first - first));
  }
  first_.insert(first_.end(), kTablePadding, first_.back());
}

void AxisTaps::make_lerp() {
  stride_ = 1;
  weight_.assign(first_.size(), 0.0f);
  if (taps_ < 2) return;
  for (int32_t i = 0; i < count_; ++i) {
    weight_[static_cast<size_t>(i)] = static_cast<float>(exact_[static_cast<size_t>(i) * 2 + 1]);
  }
  std::fill(weight_.begin() + count_, weight_.end(), weight_[static_cast<size_t>(count_) - 1]);
}

void AxisTaps::make_piecewise_linear(int32_t longest) {
  const double scale = static_cast<double>(axis_.source) / static_cast<double>(axis_.resized);
  if (scale <= 1.0) {  // one or two pixels, each a piece of its own
    stride_ = 2 * taps_;
    const int32_t begin = first_.front();
    for (int32_t x = begin; x <= first_.back() + taps_; ++x) knot_.push_back(x);
    for (int32_t& first : first_) first -= begin;
    for (const double weight : exact_) weight_.insert(weight_.end(), {static_cast<float>(weight), 0.0f});
    return;
  }
  // The triangle of an output has its top at the output's centre and its ends at the centres of its two neighbours: so
  // the centres are the knots. Where they lie more than `longest` pixels apart, more knots between them cut equal
  // parts.
  const auto centre = [&](int32_t i) { return (static_cast<double>(axis_.start + i) + 0.5) * scale; };
  const auto parts = static_cast<int32_t>((std::ceil(scale) + longest - 1) / longest);
  for (int32_t i = -1; i <= count_; ++i) {
    const auto begin = static_cast<int32_t>(std::ceil(centre(i) - 0.5));
    const auto end = static_cast<int32_t>(std::ceil(centre(i + 1) - 0.5));
    for (int32_t part = 0; part < (i < count_ ? parts : 1); ++part) {
      knot_.push_back(axis_.offset + begin + static_cast<int32_t>(static_cast<int64_t>(end - begin) * part / parts));
    }
  }
  taps_ = 2 * parts;
  stride_ = 2 * taps_;
  for (int32_t i = 0; i < count_; ++i) {
    first_[static_cast<size_t>(i)] = i * parts;
    // The sum of the triangle's weights: divided by it, they sum to 1, as those of triangle() do.
    double sum = 0.0;
    const auto low = static_cast<int32_t>(std::max(std::floor(centre(i) - scale), 0.0));
    const auto high = static_cast<int32_t>(std::min(std::ceil(centre(i) + scale), static_cast<double>(axis_.source)));
    for (int32_t x = low; x < high; ++x) sum += std::max(0.0, 1.0 - std::abs(x + 0.5 - centre(i)) / scale);
    for (int32_t k = 0; k < taps_; ++k) {
      const int32_t begin = knot_[static_cast<size_t>(i * parts + k)] - axis_.offset;
      const double slope = (k < parts ? 1.0 : -1.0) / scale;
      weight_.push_back(static_cast<float>((1.0 + slope * (begin + 0.5 - centre(i))) / sum));
      weight_.push_back(static_cast<float>(slope / sum));
    }
  }
  std::fill(first_.begin() + count_, first_.end(), first_[static_cast<size_t>(count_) - 1]);
}

Axis AxisTaps::view() const {
  return {first_.data(), weight_.data(), count_, taps_, stride_,
          knot_.empty() ? nullptr : knot_.data(), std::max(static_cast<int32_t>(knot_.size()) - 1, 0),
          axis_.offset, axis_.offset + axis_.source};
}

}  // namespace edgevision
