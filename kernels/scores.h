// Softmax and top-k over the rows of a dense table. T is float or double.

#pragma once

#include <cstddef>
#include <cstdint>

namespace edgevision {

// out = exp((x - max) / temperature) / sum, row by row. temperature: above 0, and a normal number as a T, too.
// Returns -1, or the first row without a softmax: one that holds NaN or +inf, or nothing but -inf.
//
// A probability p is off by at most p (4 + 2 |ln p|) units in the last place of 1, as its exponent is rounded to a T.
// In float, what is under 2^-126.5 times the row's largest comes out as 0.
template <typename T>
std::int64_t softmax(const T* logits, std::size_t rows, std::size_t columns, double temperature, T* out);

// The `count` (at most `columns`) largest of each row, descending, equal ones by ascending index, to
// indices and values [rows, count]. Returns -1, or the first row that holds NaN.
template <typename T>
std::int64_t top_k(const T* scores, std::size_t rows, std::size_t columns, std::size_t count, std::int64_t* indices,
                   T* values);

}  // namespace edgevision
