// Softmax of one row, for vectors of kBytes. GCC and Clang have arithmetic for such types, so that nothing depends on
// auto-vectorisation, which may not reorder a sum or a maximum. Every width gives the same bits: a step is 64 bytes in
// all.
//
// Files for different instruction sets include this, and the linker must not share a function between them. So all is
// in an unnamed namespace, and only the C library is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace edgevision {
namespace {

template <typename T, std::size_t kBytes>
struct Vector {
  typedef T type __attribute__((vector_size(kBytes)));  // `using` does not take the attribute here
};

template <typename T, std::size_t kBytes>
class SoftmaxRow {
 public:
  // out = exp((x - max) * inverse_temperature) / sum. False where the row holds NaN or +inf, or nothing but -inf.
  static bool run(const T* row, std::size_t columns, T inverse_temperature, T* out) {
    T top = -kInfinity;
    if (!largest(row, columns, &top)) return false;
    const T scale = static_cast<T>(1.0 / exponentials(row, columns, top, inverse_temperature, out));
    for (std::size_t j = 0; j < columns; ++j) out[j] *= scale;
    return true;
  }

 private:
  using Pack = typename Vector<T, kBytes>::type;
  static constexpr T kInfinity = static_cast<T>(__builtin_inf());
  static constexpr std::size_t kWidth = kBytes / sizeof(T);
  static constexpr std::size_t kPacks = 64 / kBytes;  // worked on side by side, to hide latency
  static constexpr std::size_t kStep = kPacks * kWidth;
  static constexpr std::size_t kFlush = 64;  // steps after which sums of floats go into a double

  static Pack load(const T* from) {
    Pack pack;
    std::memcpy(&pack, from, sizeof pack);
    return pack;
  }

  // e^x for x <= 0. In float, Cephes expf: x = n ln 2 + r with |r| <= ln(2) / 2, and a polynomial of r.
  static Pack exp_of(Pack x) {
    if constexpr (sizeof(T) == sizeof(double)) {
      for (std::size_t lane = 0; lane < kWidth; ++lane) x[lane] = __builtin_exp(x[lane]);
      return x;
    } else {
      constexpr T kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, in the low bits
      const Pack lowest = Pack{} - 88.0f;    // there n = -127, whose 2^n comes out as 0 below
      x = x > lowest ? x : lowest;
      const Pack shifted = x * 1.44269504088896341f + kToInteger;
      const Pack n = shifted - kToInteger;
      const Pack r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts; the first product is exact
      Pack p = r * 1.9875691500e-4f + 1.3981999507e-3f;
      p = p * r + 8.3334519073e-3f;
      p = p * r + 4.1665795894e-2f;
      p = p * r + 1.6666665459e-1f;
      p = p * r + 5.0000001201e-1f;
      p = p * (r * r) + r + 1.0f;
      typename Vector<std::int32_t, kBytes>::type bits;
      std::memcpy(&bits, &shifted, sizeof bits);
      bits = (bits + 127) << 23;  // of 2^n
      Pack scale;
      std::memcpy(&scale, &bits, sizeof scale);
      return p * scale;
    }
  }

  static bool largest(const T* row, std::size_t columns, T* top) {
    Pack tops[kPacks];
    for (Pack& pack : tops) pack = Pack{} - kInfinity;
    auto fine = tops[0] < kInfinity;  // false for NaN, too
    std::size_t j = 0;
    for (; j + kStep <= columns; j += kStep) {
      for (std::size_t i = 0; i < kPacks; ++i) {
        const Pack x = load(row + j + i * kWidth);
        fine &= x < kInfinity;
        tops[i] = tops[i] < x ? x : tops[i];
      }
    }
    bool all_fine = true;
    for (; j < columns; ++j) {
      all_fine &= row[j] < kInfinity;
      if (*top < row[j]) *top = row[j];
    }
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      all_fine &= fine[lane] != 0;
      for (const Pack& pack : tops) {
        if (*top < pack[lane]) *top = pack[lane];
      }
    }
    return all_fine && *top > -kInfinity;
  }

  // out = exp((x - top) * inverse_temperature); returns their sum.
  static double exponentials(const T* row, std::size_t columns, T top, T inverse_temperature, T* out) {
    double total = 0.0;
    std::size_t j = 0;
    while (j + kStep <= columns) {
      Pack sums[kPacks] = {};
      for (std::size_t step = 0; step < kFlush && j + kStep <= columns; ++step, j += kStep) {
        Pack e[kPacks];  // all loads before the stores, which might otherwise overlap for all the compiler knows
        for (std::size_t i = 0; i < kPacks; ++i) {
          e[i] = exp_of((load(row + j + i * kWidth) - top) * inverse_temperature);
        }
        for (std::size_t i = 0; i < kPacks; ++i) sums[i] += e[i];
        std::memcpy(out + j, e, sizeof e);
      }
      for (const Pack& sum : sums) {
        for (std::size_t lane = 0; lane < kWidth; ++lane) total += static_cast<double>(sum[lane]);
      }
    }
    while (j < columns) {
      const std::size_t rest = columns - j < kWidth ? columns - j : kWidth;
      Pack x = Pack{} + top;
      std::memcpy(&x, row + j, rest * sizeof(T));
      const Pack e = exp_of((x - top) * inverse_temperature);
      std::memcpy(out + j, &e, rest * sizeof(T));
      for (std::size_t lane = 0; lane < rest; ++lane) total += static_cast<double>(e[lane]);
      j += rest;
    }
    return total;
  }
};

}  // namespace
}  // namespace edgevision
