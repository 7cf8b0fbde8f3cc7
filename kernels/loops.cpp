#include "loops.h"

#include <algorithm>

#include "cpu_features.h"

namespace edgevision {

extern const Loops scalar_loops;
#if defined(EDGEVISION_AVX2)
extern const Loops avx2_loops;
#endif
#if defined(EDGEVISION_SSE41)
extern const Loops sse41_loops;
#endif
#if defined(EDGEVISION_NEON)
extern const Loops neon_loops;
#endif

const std::vector<const Loops*>& available_loops() {
  static const std::vector<const Loops*> loops = [] {
    std::vector<const Loops*> found;
    [[maybe_unused]] const std::vector<std::string> features = cpu_features();
    [[maybe_unused]] const auto has = [&](const char* name) {
      return std::find(features.begin(), features.end(), name) != features.end();
    };
#if defined(EDGEVISION_AVX2)
    if (has("avx2") && has("fma") && has("f16c")) found.push_back(&avx2_loops);
#endif
#if defined(EDGEVISION_SSE41)
    if (has("sse41")) found.push_back(&sse41_loops);
#endif
#if defined(EDGEVISION_NEON)
    if (has("asimd")) found.push_back(&neon_loops);
#endif
    found.push_back(&scalar_loops);
    return found;
  }();
  return loops;
}

const Loops* find_loops(const std::string& name) {
  for (const Loops* loops : available_loops()) {
    if (name == loops->name) return loops;
  }
  return nullptr;
}

}  // namespace edgevision
