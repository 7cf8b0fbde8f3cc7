#include "scores.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "generic/softmax.h"

namespace edgevision {

#if defined(EDGEVISION_AVX2)
bool softmax_row_avx2(const float* row, std::size_t columns, float inverse_temperature, float* out);
#endif

namespace {

template <typename T>
using RowFunction = bool (*)(const T*, std::size_t, T, T*);

// 16 bytes are what the baseline of x86-64 and of aarch64 computes at once.
RowFunction<double> softmax_row(double) { return SoftmaxRow<double, 16>::run; }

RowFunction<float> softmax_row(float) {
#if defined(EDGEVISION_AVX2)
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return softmax_row_avx2;
#endif
  return SoftmaxRow<float, 16>::run;
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

constexpr std::size_t kStepBytes = 64;
template <typename T>
constexpr std::size_t kStep = kStepBytes / sizeof(T);

// Whether all of the next kStep values are at most `limit`. NaN is not.
template <typename T>
bool none_above(const T* row, T limit) {
  using Pack = typename Vector<T, 16>::type;
  Pack packs[kStepBytes / sizeof(Pack)];
  std::memcpy(packs, row, sizeof packs);
  auto within = packs[0] <= limit;
  for (const Pack& pack : packs) within &= pack <= limit;
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
  const RowFunction<T> run = softmax_row(T{});
  const T inverse_temperature = static_cast<T>(1.0 / temperature);
  for (std::size_t i = 0; i < rows; ++i) {
    if (!run(logits + i * columns, columns, inverse_temperature, out + i * columns)) {
      return static_cast<std::int64_t>(i);
    }
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
