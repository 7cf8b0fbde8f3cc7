// The scan for x86 with AVX-VNNI, which has the same instruction for vectors of 32 bytes: CPUs of small boxes since 2021.
// Compiled for it, and run only where the CPU has it.
#include "../generic/floats.h"
#include "../generic/scan.h"

#include <immintrin.h>

namespace edgevision {
namespace {

struct AvxVnni {
  using Rows = __m256i;
  using Query = __m256i;
  using Sums = __m256i;
  static constexpr size_t kRows = 8, kBytes = 32, kQueries = 2, kUnroll = 2;

  static Rows load(const uint8_t* codes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)); }
  static Query broadcast(const int8_t* codes) {
    int32_t word;
    std::memcpy(&word, codes, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static Sums begin(int32_t bias) { return _mm256_set1_epi32(-bias); }  // what the 128 in each byte of a row adds
  static Sums dot(Sums sums, Rows rows, Query query) { return _mm256_dpbusd_avx_epi32(sums, rows, query); }
  static Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
  static void store(int32_t* out, Sums sums) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), sums); }
};

}  // namespace

extern const Scan avxvnni_scan = {"avxvnni", GroupScan<AvxVnni>::run, FloatVectors<32>::quantise, FloatVectors<32>::dot};

}  // namespace edgevision
