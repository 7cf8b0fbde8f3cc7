// Vectors of floats, for any instruction set: their dot product as doubles, and their int8 codes. Every width gives the same
// bits: products of float32 numbers are exact as doubles, and the order of the sums is stated.
//
// Files for different instruction sets include this, and the linker must not share a function between them. So all is in
// an unnamed namespace, and nothing else is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../scan.h"

namespace edgevision {
namespace {

// kBytes: of a vector of doubles.
template <size_t kBytes>
class FloatVectors {
 public:
  // Sums of each 16th product, then of these by halves.
  static double dot(const float* a, const float* b, size_t dimension) {
    Doubles sums[kParts] = {};
    size_t i = 0;
    for (; i + kLanes <= dimension; i += kLanes) {
      for (size_t part = 0; part < kParts; ++part) sums[part] += wide(a + i + part * kWidth) * wide(b + i + part * kWidth);
    }
    double lanes[kLanes];
    std::memcpy(lanes, sums, sizeof lanes);
    for (size_t lane = 0; i < dimension; ++i, ++lane) lanes[lane] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return total(lanes);
  }

  // See Scan.
  static void quantise(const float* vector, const float* centre, size_t dimension, Codes* out) {
    constexpr float kMostCode = 127.0f;
    constexpr float kToInteger = 12582912.0f;  // 1.5 × 2^23: adding it rounds to an integer
    float most = 0.0f;
    for (size_t i = 0; i < dimension; ++i) {
      const float value = vector[i] - centre[i], size = value < 0.0f ? -value : value;
      most = most < size ? size : most;
    }
    const float scale = most / kMostCode;
    // For numbers so small that they have no reciprocal: all that such a vector is, is rest.
    const float inverse = scale >= 1.1754944e-38f ? kMostCode / most : 0.0f;
    double rest[kLanes] = {}, length[kLanes] = {};
    int32_t sum = 0;
    const auto one = [&](size_t i, size_t lane) {
      const float whole = (vector[i] - centre[i]) * inverse + kToInteger - kToInteger;
      const float low = whole > -kMostCode ? whole : -kMostCode;  // of NaN, too, a number
      const float code = low < kMostCode ? low : kMostCode;
      const double part = static_cast<double>(scale) * static_cast<double>(code);
      const double left = static_cast<double>(vector[i]) - static_cast<double>(centre[i]) - part;
      const auto number = static_cast<int32_t>(code);
      out->codes[i] = static_cast<int8_t>(number);
      sum += number;
      rest[lane] += left * left;
      length[lane] += part * part;
    };
    size_t i = 0;
    for (; i + kLanes <= dimension; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) one(i + lane, lane);
    }
    for (size_t lane = 0; i < dimension; ++i, ++lane) one(i, lane);
    out->scale = scale;
    out->sum = sum;
    out->rest = __builtin_sqrt(total(rest)) * kMore;
    out->length = __builtin_sqrt(total(length)) * kMore;
  }

 private:
  static constexpr size_t kLanes = 16, kWidth = kBytes / sizeof(double), kParts = kLanes / kWidth;
  static constexpr double kMore = 1.0 + 1e-9;  // than sums of doubles round off
  template <typename T>
  struct Of {
    typedef T type __attribute__((vector_size(kWidth * sizeof(T))));
  };
  using Floats = typename Of<float>::type;
  using Doubles = typename Of<double>::type;

  static inline __attribute__((always_inline)) Doubles wide(const float* from) {
    Floats floats;
    std::memcpy(&floats, from, sizeof floats);
    return __builtin_convertvector(floats, Doubles);
  }

  static double total(double* lanes) {
    for (size_t half = kLanes / 2; half > 0; half /= 2) {
      for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    }
    return lanes[0];
  }
};

}  // namespace
}  // namespace edgevision
