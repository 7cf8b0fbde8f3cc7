// The scan, for any instruction set: what differs is `Isa`, which has
//   Rows, Sums: vectors of kRows rows, four codes of each, and of their int32 sums; Query: four codes of a query, for each row
//   load, broadcast, begin, dot, add, store
//   kBytes: of its widest vector; kQueries: how many share what is loaded of the rows; kUnroll: chunks side by side for one
//   query alone, to hide latency
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

template <typename T, size_t kBytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(kBytes)));  // `using` does not take the attribute here
};

template <typename Isa>
class GroupScan {
 public:
  static void run(const ScanRows& rows, ScanQuery* const* queries, size_t count,
                  void (*hit)(ScanQuery& query, size_t group, const int32_t* dots)) {
    alignas(64) int32_t dots[Isa::kQueries][kGroupRows];
    for (size_t group = 0; group < rows.groups; ++group) {
      const uint8_t* codes = rows.codes + group * rows.chunks * kChunk;
      const auto report = [&](ScanQuery& query, const int32_t* sums) {
        if (any_over_limit(sums, rows.scales + group * kGroupRows, rows.errors + group * kGroupRows, query)) {
          hit(query, group, sums);
        }
      };
      size_t first = 0;
      for (; first + Isa::kQueries <= count; first += Isa::kQueries) {
        dot_all<Isa::kQueries, 1>(codes, rows.chunks, queries + first, dots[0]);
        for (size_t i = 0; i < Isa::kQueries; ++i) report(*queries[first + i], dots[i]);
      }
      for (; first < count; ++first) {
        dot_all<1, Isa::kUnroll>(codes, rows.chunks, queries + first, dots[0]);
        report(*queries[first], dots[0]);
      }
    }
  }

 private:
  static constexpr size_t kChunk = kGroupRows * kChunkBytes;
  static constexpr size_t kVectors = kGroupRows / Isa::kRows;  // to a chunk

  // Sums of all products of the group's rows with the queries: dots [kCount][kGroupRows].
  template <size_t kCount, size_t kSide>
  static inline __attribute__((always_inline)) void dot_all(const uint8_t* codes, size_t chunks, ScanQuery* const* queries,
                                                            int32_t* dots) {
    typename Isa::Sums sums[kSide][kCount][kVectors];
    for (size_t side = 0; side < kSide; ++side) {
      for (size_t q = 0; q < kCount; ++q) {
        for (size_t v = 0; v < kVectors; ++v) sums[side][q][v] = Isa::begin(side == 0 ? queries[q]->bias : 0);
      }
    }
    size_t chunk = 0;
    for (; chunk + kSide <= chunks; chunk += kSide) {
      for (size_t side = 0; side < kSide; ++side) add_chunk<kCount>(codes, chunk + side, queries, sums[side]);
    }
    for (; chunk < chunks; ++chunk) add_chunk<kCount>(codes, chunk, queries, sums[0]);
    for (size_t q = 0; q < kCount; ++q) {
      for (size_t v = 0; v < kVectors; ++v) {
        for (size_t side = 1; side < kSide; ++side) sums[0][q][v] = Isa::add(sums[0][q][v], sums[side][q][v]);
        Isa::store(dots + q * kGroupRows + v * Isa::kRows, sums[0][q][v]);
      }
    }
  }

  template <size_t kCount>
  static inline __attribute__((always_inline)) void add_chunk(const uint8_t* codes, size_t chunk, ScanQuery* const* queries,
                                                              typename Isa::Sums (*sums)[kVectors]) {
    typename Isa::Rows rows[kVectors];
    for (size_t v = 0; v < kVectors; ++v) rows[v] = Isa::load(codes + chunk * kChunk + v * (kChunk / kVectors));
    for (size_t q = 0; q < kCount; ++q) {
      const typename Isa::Query query = Isa::broadcast(queries[q]->codes + chunk * kChunkBytes);
      for (size_t v = 0; v < kVectors; ++v) sums[q][v] = Isa::dot(sums[q][v], rows[v], query);
    }
  }

  using Floats = typename VectorOf<float, Isa::kBytes>::type;
  using Ints = typename VectorOf<int32_t, Isa::kBytes>::type;

  static bool any_over_limit(const int32_t* dots, const float* scales, const float* errors, const ScanQuery& query) {
    constexpr size_t kWidth = Isa::kBytes / sizeof(float);
    Ints over = {};
    for (size_t i = 0; i < kGroupRows; i += kWidth) {
      Ints whole;
      Floats scale, error;
      std::memcpy(&whole, dots + i, sizeof whole);
      std::memcpy(&scale, scales + i, sizeof scale);
      std::memcpy(&error, errors + i, sizeof error);
      over |= __builtin_convertvector(whole, Floats) * (scale * query.scale) + error * query.norm > query.limit;
    }
    int64_t words[Isa::kBytes / sizeof(int64_t)], any = 0;
    std::memcpy(words, &over, sizeof over);
    for (const int64_t word : words) any |= word;
    return any != 0;
  }
};

}  // namespace
}  // namespace edgevision
