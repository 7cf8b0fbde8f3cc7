// The scan for x86 with AVX2. Compiled for it, and run only where the CPU has it.
#include "../generic/floats.h"
#include "../generic/scan.h"

#include <immintrin.h>

namespace edgevision {
namespace {

struct Avx2 {
  struct Query {
    __m256i codes, sizes;
  };
  using Rows = __m256i;
  using Sums = __m256i;
  static constexpr size_t kRows = 8, kBytes = 32, kQueries = 2, kUnroll = 1;

  static Rows load(const uint8_t* codes) {  // signed from here on
    return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)), _mm256_set1_epi8(-128));
  }
  static Query broadcast(const int8_t* codes) {
    int32_t word;
    std::memcpy(&word, codes, sizeof word);
    const __m256i all = _mm256_set1_epi32(word);
    return {all, _mm256_abs_epi8(all)};
  }
  static Sums begin(int32_t) { return _mm256_setzero_si256(); }
  // The instruction multiplies unsigned with signed bytes and adds pairs as int16, which 2 × 127² fits.
  static Sums dot(Sums sums, Rows rows, Query query) {
    const __m256i pairs = _mm256_maddubs_epi16(query.sizes, _mm256_sign_epi8(rows, query.codes));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
  static void store(int32_t* out, Sums sums) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), sums); }
};

}  // namespace

extern const Scan avx2_scan = {"avx2", GroupScan<Avx2>::run, FloatVectors<32>::quantise, FloatVectors<32>::dot};

}  // namespace edgevision
