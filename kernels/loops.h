// Loops: the implementation of the preprocessing for one instruction set. Each is in a folder of its own, which is
// compiled for that set alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "row_job.h"

namespace edgevision {

// Bytes that loops with `overreads` may read behind the end of a row for Resampling::lerp. The caller makes sure that
// they can be read.
constexpr int32_t kOverread = 32;

// Rows begin … end - 1 of the picture (0 = its first row, not the tensor's).
struct RowRange {
  int32_t begin, end;
};

struct Loops {
  const char* name;
  // Write those rows of the picture into job.out, and nothing else. `scratch` has scratch_bytes(job), aligned to 64,
  // and holds finite floats.
  void (*picture)(const RowJob& job, RowRange rows, uint8_t* scratch);
  size_t (*scratch_bytes)(const RowJob& job);
  bool overreads;  // whether `picture` may read kOverread bytes behind a row
};

// The loops of this build that this CPU can run, fastest first. The last is the scalar one, the oracle of all.
const std::vector<const Loops*>& available_loops();

// The loops by name; null where this CPU or build does not have them.
const Loops* find_loops(const std::string& name);

}  // namespace edgevision
