// Softmax of a row for x86 with AVX2. Compiled for it, and run only where the CPU has it.
#include "../generic/softmax.h"

namespace edgevision {

bool softmax_row_avx2(const float* row, std::size_t columns, float inverse_temperature, float* out) {
  return SoftmaxRow<float, 32>::run(row, columns, inverse_temperature, out);
}

}  // namespace edgevision
