// The generic loops for x86 with SSE4.1 and no more, as in the Atoms of kiosks. Compiled for it, and run where the CPU
// has nothing quicker.
#include "piecewise_linear.h"
#include "vector.h"

#include "../generic/loops.h"

namespace edgevision {

extern const Loops sse41_loops = {"sse41", sse41::picture, sse41::scratch_bytes, true};

}  // namespace edgevision
