#include "scores.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace edgevision {
namespace {

// 16 bytes, which the baseline of x86-64 and of aarch64 computes at once. GCC and Clang have arithmetic for such types,
// so that nothing hangs on the vectoriser, which may not reorder a sum or a maximum.
template <typename T>
struct PackOf {
  typedef T type __attribute__((vector_size(16)));  // `using` does not take the attribute here
};
template <typename T>
using Pack = typename PackOf<T>::type;
template <typename T>
constexpr std::size_t kWidth = sizeof(Pack<T>) / sizeof(T);
constexpr std::size_t kPacks = 4;  // worked on side by side, to hide latency
template <typename T>
constexpr std::size_t kStep = kPacks * kWidth<T>;
constexpr std::size_t kFlush = 64;  // steps after which sums of floats go into a double

template <typename T>
inline Pack<T> load(const T* from) {
  Pack<T> pack;
  std::memcpy(&pack, from, sizeof pack);
  return pack;
}

// e^x for x <= 0. Cephes expf: x = n ln 2 + r with |r| <= ln(2) / 2, and a polynomial of r.
inline Pack<float> exp_of(Pack<float> x) {
  constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, in the low bits
  const Pack<float> lowest = Pack<float>{} - 88.0f;  // there n = -127, whose 2^n comes out as 0 below
  x = x < lowest ? lowest : x;
  const Pack<float> shifted = x * 1.44269504088896341f + kToInteger;
  const Pack<float> n = shifted - kToInteger;
  const Pack<float> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts; the first product is exact
  Pack<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  Pack<std::int32_t> bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;  // of 2^n
  Pack<float> scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

inline Pack<double> exp_of(Pack<double> x) { return Pack<double>{std::exp(x[0]), std::exp(x[1])}; }

// The largest value of the row; NaN where the row has no softmax.
template <typename T>
T largest(const T* row, std::size_t columns) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  Pack<T> tops[kPacks];
  for (Pack<T>& pack : tops) pack = Pack<T>{} - kInfinity;
  auto fine = tops[0] < kInfinity;  // false for NaN, too
  std::size_t j = 0;
  for (; j + kStep<T> <= columns; j += kStep<T>) {
    for (std::size_t i = 0; i < kPacks; ++i) {
      const Pack<T> x = load(row + j + i * kWidth<T>);
      fine &= x < kInfinity;
      tops[i] = tops[i] < x ? x : tops[i];
    }
  }
  T top = -kInfinity;
  bool refused = false;
  for (; j < columns; ++j) {
    refused |= !(row[j] < kInfinity);
    top = std::max(top, row[j]);
  }
  for (std::size_t lane = 0; lane < kWidth<T>; ++lane) {
    refused |= !fine[lane];
    for (const Pack<T>& pack : tops) top = std::max<T>(top, pack[lane]);
  }
  return refused || top == -kInfinity ? std::numeric_limits<T>::quiet_NaN() : top;
}

// out = exp((x - top) * coldness); returns their sum.
template <typename T>
double exponentials(const T* row, std::size_t columns, T top, T coldness, T* out) {
  double total = 0.0;
  std::size_t j = 0;
  while (j + kStep<T> <= columns) {
    Pack<T> sums[kPacks] = {};
    for (std::size_t step = 0; step < kFlush && j + kStep<T> <= columns; ++step, j += kStep<T>) {
      Pack<T> e[kPacks];  // all loads before the stores, which might otherwise overlap for all the compiler knows
      for (std::size_t i = 0; i < kPacks; ++i) e[i] = exp_of((load(row + j + i * kWidth<T>) - top) * coldness);
      for (std::size_t i = 0; i < kPacks; ++i) sums[i] += e[i];
      std::memcpy(out + j, e, sizeof e);
    }
    for (const Pack<T>& sum : sums) {
      for (std::size_t lane = 0; lane < kWidth<T>; ++lane) total += static_cast<double>(sum[lane]);
    }
  }
  for (; j < columns; j += kWidth<T>) {
    const std::size_t rest = std::min(kWidth<T>, columns - j);
    Pack<T> x = Pack<T>{} + top;
    std::memcpy(&x, row + j, rest * sizeof(T));
    const Pack<T> e = exp_of((x - top) * coldness);
    std::memcpy(out + j, &e, rest * sizeof(T));
    for (std::size_t lane = 0; lane < rest; ++lane) total += static_cast<double>(e[lane]);
  }
  return total;
}

template <typename T>
struct Entry {
  T value;
  std::int64_t index;
};

template <typename T>
bool better(const Entry<T>& a, const Entry<T>& b) {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

// Whether all of the next kStep values are at most `limit`. NaN is not.
template <typename T>
bool none_above(const T* row, T limit) {
  auto within = load(row) <= limit;
  for (std::size_t i = 1; i < kPacks; ++i) within &= load(row + i * kWidth<T>) <= limit;
  std::int64_t halves[2];
  std::memcpy(halves, &within, sizeof halves);
  return (halves[0] & halves[1]) == -1;
}

// Leaves the best `best.size()` of the row in `best`, in order. Returns whether the row is free of NaN.
template <typename T>
bool best_of(const T* row, std::size_t columns, std::vector<Entry<T>>& best) {
  constexpr std::size_t kFew = 32;  // up to so many are kept in order, more as a heap with the worst on top
  const std::size_t count = best.size();
  for (std::size_t j = 0; j < count; ++j) {
    if (std::isnan(row[j])) return false;
    best[j] = {row[j], static_cast<std::int64_t>(j)};
  }
  std::sort(best.begin(), best.end(), better<T>);
  if (count == 0 || count == columns) return true;
  const bool ordered = count <= kFew;
  if (!ordered) std::make_heap(best.begin(), best.end(), better<T>);
  const Entry<T>& worst = ordered ? best.back() : best.front();
  for (std::size_t start = count; start < columns; start += kStep<T>) {
    const std::size_t stop = std::min(columns, start + kStep<T>);
    if (stop - start == kStep<T> && none_above(row + start, worst.value)) continue;
    for (std::size_t j = start; j < stop; ++j) {
      const Entry<T> entry{row[j], static_cast<std::int64_t>(j)};
      if (entry.value <= worst.value) continue;  // equal ones too: their index is higher
      if (std::isnan(entry.value)) return false;
      if (ordered) {
        std::size_t place = count - 1;
        for (; place > 0 && best[place - 1].value < entry.value; --place) best[place] = best[place - 1];
        best[place] = entry;
      } else {
        std::pop_heap(best.begin(), best.end(), better<T>);
        best.back() = entry;
        std::push_heap(best.begin(), best.end(), better<T>);
      }
    }
  }
  if (!ordered) std::sort(best.begin(), best.end(), better<T>);
  return true;
}

}  // namespace

template <typename T>
std::int64_t softmax(const T* logits, std::size_t rows, std::size_t columns, double temperature, T* out) {
  if (columns == 0) return -1;
  const T coldness = static_cast<T>(1.0 / temperature);
  for (std::size_t i = 0; i < rows; ++i, logits += columns, out += columns) {
    const T top = largest(logits, columns);
    if (std::isnan(top)) return static_cast<std::int64_t>(i);
    const T scale = static_cast<T>(1.0 / exponentials(logits, columns, top, coldness, out));
    for (std::size_t j = 0; j < columns; ++j) out[j] *= scale;
  }
  return -1;
}

template <typename T>
std::int64_t top_k(const T* scores, std::size_t rows, std::size_t columns, std::size_t count, std::int64_t* indices,
                   T* values) {
  std::vector<Entry<T>> best(count);
  for (std::size_t i = 0; i < rows; ++i, scores += columns) {
    if (!best_of(scores, columns, best)) return static_cast<std::int64_t>(i);
    for (const Entry<T>& entry : best) {
      *indices++ = entry.index;
      *values++ = entry.value;
    }
  }
  return -1;
}

template std::int64_t softmax(const float*, std::size_t, std::size_t, double, float*);
template std::int64_t softmax(const double*, std::size_t, std::size_t, double, double*);
template std::int64_t top_k(const float*, std::size_t, std::size_t, std::size_t, std::int64_t*, float*);
template std::int64_t top_k(const double*, std::size_t, std::size_t, std::size_t, std::int64_t*, double*);

}  // namespace edgevision
