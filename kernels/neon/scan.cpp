// The scan for ARM with Advanced SIMD, which every 64-bit ARM has.
#include "../generic/floats.h"
#include "../generic/scan.h"

#include <arm_neon.h>

namespace edgevision {
namespace {

struct Neon {
  struct Sums {
    int32x4_t low, high;  // two to a row: of its codes 0 and 1, and of 2 and 3
  };
  using Rows = int8x16_t;
  using Query = int8x8_t;
  static constexpr size_t kRows = 4, kBytes = 16, kQueries = 1, kUnroll = 1;

  static Rows load(const uint8_t* codes) {  // signed from here on
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(128)));
  }
  static Query broadcast(const int8_t* codes) {
    int32_t word;
    std::memcpy(&word, codes, sizeof word);
    return vreinterpret_s8_s32(vdup_n_s32(word));
  }
  static Sums begin(int32_t) { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
  static Sums dot(Sums sums, Rows rows, Query query) {
    return {vpadalq_s16(sums.low, vmull_s8(vget_low_s8(rows), query)), vpadalq_s16(sums.high, vmull_s8(vget_high_s8(rows), query))};
  }
  static Sums add(Sums a, Sums b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
  static void store(int32_t* out, Sums sums) { vst1q_s32(out, vpaddq_s32(sums.low, sums.high)); }
};

}  // namespace

extern const Scan neon_scan = {"neon", GroupScan<Neon>::run, FloatVectors<16>::quantise, FloatVectors<16>::dot};

}  // namespace edgevision
