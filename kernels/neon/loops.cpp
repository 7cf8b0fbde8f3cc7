// The generic loops for ARM with Advanced SIMD, which every 64-bit ARM has.
#include "piecewise_linear.h"
#include "vector.h"

#include "../generic/loops.h"

namespace edgevision {

extern const Loops neon_loops = {"neon", neon::picture, neon::scratch_bytes, true};

}  // namespace edgevision
