// The scan for ARM with dot products of bytes, which CPUs have since about 2018. Compiled for it, and run only where the CPU
// has it.
#include "../generic/floats.h"
#include "../generic/scan.h"

#include <arm_neon.h>

namespace edgevision {
namespace {

struct DotProd {
  using Rows = int8x16_t;
  using Query = int8x16_t;
  using Sums = int32x4_t;
  static constexpr size_t kRows = 4, kBytes = 16, kQueries = 2, kUnroll = 1;

  static Rows load(const uint8_t* codes) {  // signed from here on
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(128)));
  }
  static Query broadcast(const int8_t* codes) {
    int32_t word;
    std::memcpy(&word, codes, sizeof word);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
  }
  static Sums begin(int32_t) { return vdupq_n_s32(0); }
  static Sums dot(Sums sums, Rows rows, Query query) { return vdotq_s32(sums, rows, query); }
  static Sums add(Sums a, Sums b) { return vaddq_s32(a, b); }
  static void store(int32_t* out, Sums sums) { vst1q_s32(out, sums); }
};

}  // namespace

extern const Scan dotprod_scan = {"dotprod", GroupScan<DotProd>::run, FloatVectors<16>::quantise, FloatVectors<16>::dot};

}  // namespace edgevision
