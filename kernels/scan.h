// Scans: dot products of many int8 rows with a few queries, for one instruction set. Each is in a folder of its own, which
// is compiled for that set alone. search.h says what it is for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgevision {

constexpr size_t kGroupRows = 32;  // rows whose codes lie side by side: a vector holds as many rows as it has int32
constexpr size_t kChunkBytes = 4;  // codes of one row that lie together: instructions add up four products at once

// Codes are -127 … 127, stored as bytes 1 … 255 (code + 128): [groups][chunks][kGroupRows][kChunkBytes]. Chunks are the
// dimensions by fours; the last is filled up with code 0. `scales` and `errors` hold a float for each row.
struct ScanRows {
  const uint8_t* codes;
  const float* scales;
  const float* errors;  // -infinity for a row that is not there
  size_t groups, chunks;
};

// Of a row it is kept, by `hit`, whatever may be over the limit: dot * row scale * scale + row error * norm > limit.
struct ScanQuery {
  const int8_t* codes;  // [chunks][kChunkBytes], -127 … 127
  int32_t bias;         // 128 × the sum of the codes
  float scale, norm, limit;
};

// The codes of one vector, in memory of the caller's. `sum`: of the codes. `rest`: at least the length of what scale * code
// leaves of the vector, `length` that of scale * code itself.
struct Codes {
  int8_t* codes;
  float scale;
  int32_t sum;
  double rest, length;
};

struct Scan {
  const char* name;
  // Calls `hit` for each query and group that has such a row, groups in their order. dots: int32 [kGroupRows], exact.
  // `hit` may raise the query's limit.
  void (*run)(const ScanRows& rows, ScanQuery* const* queries, size_t count,
              void (*hit)(ScanQuery& query, size_t group, const int32_t* dots));
  // The codes of vector - centre. The dot product of two vectors, the same bits in every scan: generic/floats.h.
  void (*quantise)(const float* vector, const float* centre, size_t dimension, Codes* out);
  double (*dot)(const float* a, const float* b, size_t dimension);
};

// The scans of this build that this CPU can run, fastest first. The last is the scalar one, the oracle of all.
const std::vector<const Scan*>& available_scans();

// The scan by name, the fastest for ""; null where this CPU or build does not have it.
const Scan* find_scan(const std::string& name);

}  // namespace edgevision
