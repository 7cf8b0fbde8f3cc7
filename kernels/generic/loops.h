// The loops of one instruction set, from its vectors. Include that set's vector.h first.
#pragma once

#include "../loops.h"
#include "piecewise_linear.h"

namespace edgevision::EV_ISA {

inline void picture(const RowJob& job, RowRange rows, uint8_t* scratch) {
  if (job.resampling == Resampling::lerp) return lerp_picture(job, rows.begin, rows.end);
  piecewise_linear_picture(job, rows.begin, rows.end, scratch);
}

inline size_t scratch_bytes(const RowJob& job) {
  return job.resampling == Resampling::lerp ? 0 : piecewise_linear_scratch_bytes(job);
}

}  // namespace edgevision::EV_ISA
