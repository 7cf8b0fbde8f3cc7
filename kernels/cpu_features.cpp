#include "cpu_features.h"

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace edgevision {

#if defined(__x86_64__) || defined(_M_X64)
namespace {

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

bool bit(std::uint32_t word, int index) { return ((word >> index) & 1u) != 0; }

// XCR0: which register files the operating system saves. Intel SDM vol. 1, 13.3.
std::uint64_t saved_state(bool osxsave) {
  if (!osxsave) return 0;
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

}  // namespace

std::vector<std::string> cpu_features() {
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0), seven_one = cpuid(7, 1);
  const std::uint64_t xcr0 = saved_state(bit(one.ecx, 27));
  const bool avx_saved = (xcr0 & 0x6) == 0x6;           // XMM, YMM
  const bool avx512_saved = (xcr0 & 0xe6) == 0xe6;      // and opmask, ZMM
  const bool amx_saved = (xcr0 & 0x60000) == 0x60000;   // tile configuration and data

  std::vector<std::string> found;
  const auto add = [&found](const char* name, bool present) {
    if (present) found.emplace_back(name);
  };
  add("sse41", bit(one.ecx, 19));
  add("f16c", bit(one.ecx, 29) && avx_saved);
  add("fma", bit(one.ecx, 12) && avx_saved);
  add("avx", bit(one.ecx, 28) && avx_saved);
  add("avx2", bit(seven.ebx, 5) && avx_saved);
  add("avxvnni", bit(seven_one.eax, 4) && avx_saved);
  add("avx512f", bit(seven.ebx, 16) && avx512_saved);
  add("avx512bw", bit(seven.ebx, 30) && avx512_saved);
  add("avx512vl", bit(seven.ebx, 31) && avx512_saved);
  add("avx512vnni", bit(seven.ecx, 11) && avx512_saved);
  add("avx512bf16", bit(seven_one.eax, 5) && avx512_saved);
  add("amxbf16", bit(seven.edx, 22) && amx_saved);
  add("amxint8", bit(seven.edx, 25) && amx_saved);
  std::sort(found.begin(), found.end());
  return found;
}

#elif defined(__aarch64__)

std::vector<std::string> cpu_features() {
  std::vector<std::string> found{"asimd"};  // part of the architecture
#if defined(__linux__)
  // Bits of linux/arch/arm64/include/uapi/asm/hwcap.h, written out so that old headers do.
  const unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
  if (hwcap & (1UL << 10)) found.emplace_back("asimdhp");
  if (hwcap & (1UL << 20)) found.emplace_back("asimddp");
  if (hwcap & (1UL << 22)) found.emplace_back("sve");
  if (hwcap2 & (1UL << 13)) found.emplace_back("i8mm");
  if (hwcap2 & (1UL << 14)) found.emplace_back("bf16");
#endif
  std::sort(found.begin(), found.end());
  return found;
}

#else

std::vector<std::string> cpu_features() { return {}; }

#endif

}  // namespace edgevision
