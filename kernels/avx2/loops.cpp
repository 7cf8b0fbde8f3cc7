// The generic loops for x86 with AVX2, FMA and F16C. Compiled for these, and run only where the CPU has them.
#include "piecewise_linear.h"
#include "vector.h"

#include "../generic/loops.h"

namespace edgevision {

extern const Loops avx2_loops = {"avx2", avx2::picture, avx2::scratch_bytes, true};

}  // namespace edgevision
