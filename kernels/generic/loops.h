// The loops of one instruction set, from its vectors. Include that set's vector.h first.
#pragma once

#include "../loops.h"
#include "moments.h"
#include "weights.h"

namespace edgevision::EV_ISA {

inline void picture(const Job& job, RowRange rows, uint8_t* scratch) {
  switch (job.resampling) {
    case Resampling::lerp: return lerp_picture(job, rows.begin, rows.end);
    case Resampling::weights: return weights_picture(job, rows.begin, rows.end, reinterpret_cast<float*>(scratch));
    case Resampling::moments: return moments_picture(job, rows.begin, rows.end, scratch);
    case Resampling::fixed:
      for (int32_t row = rows.begin; row < rows.end; ++row) {
        for (int32_t x = 0; x < job.columns.count; ++x) prepare_pixel(job, job.top + row, job.left + x);
      }
  }
}

inline size_t scratch_bytes(const Job& job) {
  if (job.resampling == Resampling::moments) return moments_scratch_bytes(job);
  return job.resampling == Resampling::weights ? weights_scratch_bytes(job) : 0;
}

}  // namespace edgevision::EV_ISA
