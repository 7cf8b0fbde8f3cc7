// The scan for x86 with AVX-512 VNNI. Compiled for it, and run only where the CPU has it.
#include "../generic/floats.h"
#include "../generic/scan.h"

#include <immintrin.h>

namespace edgevision {
namespace {

struct Avx512Vnni {
  using Rows = __m512i;
  using Query = __m512i;
  using Sums = __m512i;
  static constexpr size_t kRows = 16, kBytes = 64, kQueries = 4, kUnroll = 4;

  static Rows load(const uint8_t* codes) { return _mm512_loadu_si512(codes); }
  static Query broadcast(const int8_t* codes) {
    int32_t word;
    std::memcpy(&word, codes, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static Sums begin(int32_t bias) { return _mm512_set1_epi32(-bias); }  // what the 128 in each byte of a row adds
  static Sums dot(Sums sums, Rows rows, Query query) { return _mm512_dpbusd_epi32(sums, rows, query); }
  static Sums add(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
  static void store(int32_t* out, Sums sums) { _mm512_storeu_si512(out, sums); }
};

}  // namespace

extern const Scan avx512vnni_scan = {"avx512vnni", GroupScan<Avx512Vnni>::run, FloatVectors<64>::quantise, FloatVectors<64>::dot};

}  // namespace edgevision
