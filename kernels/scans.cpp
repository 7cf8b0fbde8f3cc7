#include "scan.h"

#include <algorithm>

#include "cpu_features.h"

namespace edgevision {

extern const Scan scalar_scan;
#if defined(EDGEVISION_AVX2)
extern const Scan avx2_scan;
#endif
#if defined(EDGEVISION_AVX512VNNI)
extern const Scan avx512vnni_scan;
#endif
#if defined(EDGEVISION_AVXVNNI)
extern const Scan avxvnni_scan;
#endif
#if defined(EDGEVISION_NEON)
extern const Scan neon_scan;
#endif
#if defined(EDGEVISION_DOTPROD)
extern const Scan dotprod_scan;
#endif

const std::vector<const Scan*>& available_scans() {
  static const std::vector<const Scan*> scans = [] {
    std::vector<const Scan*> found;
    [[maybe_unused]] const std::vector<std::string> features = cpu_features();
    [[maybe_unused]] const auto has = [&](const char* name) {
      return std::find(features.begin(), features.end(), name) != features.end();
    };
#if defined(EDGEVISION_AVX512VNNI)
    if (has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512vnni")) found.push_back(&avx512vnni_scan);
#endif
#if defined(EDGEVISION_AVXVNNI)
    if (has("avx2") && has("avxvnni")) found.push_back(&avxvnni_scan);
#endif
#if defined(EDGEVISION_AVX2)
    if (has("avx2")) found.push_back(&avx2_scan);
#endif
#if defined(EDGEVISION_DOTPROD)
    if (has("asimddp")) found.push_back(&dotprod_scan);
#endif
#if defined(EDGEVISION_NEON)
    if (has("asimd")) found.push_back(&neon_scan);
#endif
    found.push_back(&scalar_scan);
    return found;
  }();
  return scans;
}

const Scan* find_scan(const std::string& name) {
  for (const Scan* scan : available_scans()) {
    if (name.empty() || name == scan->name) return scan;
  }
  return nullptr;
}

}  // namespace edgevision
