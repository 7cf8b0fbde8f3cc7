// Checks the parts of pixel.h that stand in for instructions, bit for bit: fma1 against the C library's fmaf, to_half and
// round_even against float64, over random bits and over the places where rounding is hard.
//
//   check_pixel [MILLIONS]    of multiply-adds, 20 unless told; exit status 1 on the first difference
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "pixel.h"
#if defined(__SSE4_1__)
#include "sse41/vector.h"
#endif

namespace {

using namespace edgevision;

uint32_t bits_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}

float from_bits(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

// The kernels never see infinities: an exponent of 255 becomes 254.
float finite(uint32_t bits) { return from_bits((bits & 0x7f800000u) == 0x7f800000u ? bits ^ 0x00800000u : bits); }

float with_exponent(uint32_t bits, int32_t exponent) {
  return from_bits((bits & 0x807fffffu) | static_cast<uint32_t>(exponent) << 23);
}

// A few units in the last place away.
float near(float v, uint32_t step) { return finite(bits_of(v) + (step & 7) - 4); }

struct Triple {
  float a, b, c;
};

constexpr int kKinds = 6;

Triple triple(std::mt19937_64& random, int kind) {
  const uint64_t r = random(), s = random();
  const auto low = static_cast<uint32_t>(r), high = static_cast<uint32_t>(r >> 32), last = static_cast<uint32_t>(s);
  const auto pick = static_cast<uint32_t>(s >> 32);
  const auto some = [pick](int shift, int32_t count) { return static_cast<int32_t>((pick >> shift) % count); };
  switch (kind) {
    case 0: return {finite(low), finite(high), finite(last)};  // anything
    case 1: {                                                  // the sum nearly cancels
      const float a = with_exponent(low, 64 + some(0, 64)), b = with_exponent(high, 96 + some(8, 64));
      return {a, b, near(-(a * b), pick >> 16)};
    }
    case 2: {  // c and half a unit in its last place, less than float64 can tell from a half: the product is 1 - m²·2^-46
      const int32_t exponent = some(0, 220), m = some(8, 256);
      const float c = with_exponent(last, exponent);
      const float half = std::ldexp(1.0f, std::max(exponent, 1) - 127 - 24 + 40);  // 40: kept normal, taken off below
      return {half * (1.0f + static_cast<float>(m) * 0x1p-23f) * (low & 1 ? 1.0f : -1.0f),
              (1.0f - static_cast<float>(m) * 0x1p-23f) * 0x1p-40f, c};
    }
    case 3: {  // the product is halfway between two floats, and c next to nothing
      const float a = with_exponent(low | 1, 60 + some(0, 128));
      return {a, static_cast<float>(2 * some(8, 8) + 1), std::ldexp(a, -30 - some(16, 60)) * (high & 1 ? 1.0f : -1.0f)};
    }
    case 4: {  // the result is subnormal, or just not
      const int32_t exponent = 1 + some(0, 100);
      return {with_exponent(low, exponent), with_exponent(high, 127 - exponent + some(8, 32)),
              from_bits((last & 0x80ffffffu) >> (some(16, 2) * 4))};
    }
    default:  // as in a picture: a weight, a sample, a sum
      return {static_cast<float>(low) * 0x1p-32f, static_cast<float>(high & 255), static_cast<float>(last) * 0x1p-24f};
  }
}

#if defined(__SSE4_1__)
// Eight at a time, as a CPU without such an instruction does.
bool check_fma_of_vectors(int64_t count) {
  std::mt19937_64 random(4);
  for (int64_t i = 0; i < count; i += 8) {
    float a[8], b[8], c[8], sum[8], product[8];
    for (int k = 0; k < 8; ++k) {
      const Triple t = triple(random, static_cast<int>((i / 8 + (k == 5)) % kKinds));  // a lane that may need more care
      a[k] = t.a;
      b[k] = t.b;
      c[k] = t.c;
      if (i % 64 == 0) (k & 1 ? a : b)[k] = k & 2 ? -0.0f : 0.0f;
    }
    sse41::store(sum, sse41::fma(sse41::load(a), sse41::load(b), sse41::load(c)));
    sse41::store(product, sse41::multiply(sse41::load(a), sse41::load(b)));
    for (int k = 0; k < 8; ++k) {
      if (bits_of(sum[k]) != bits_of(std::fma(a[k], b[k], c[k]))) {
        std::fprintf(stderr, "sse41::fma(%a, %a, %a) is %a\n", a[k], b[k], c[k], sum[k]);
        return false;
      }
      if (bits_of(product[k]) != bits_of(std::fma(a[k], b[k], 0.0f))) {
        std::fprintf(stderr, "sse41::multiply(%a, %a) is %a\n", a[k], b[k], product[k]);
        return false;
      }
    }
  }
  return true;
}
#else
bool check_fma_of_vectors(int64_t) { return true; }
#endif

bool check_fma(int64_t count) {
  std::mt19937_64 random(1);
  for (int64_t i = 0; i < count; ++i) {
    const Triple t = triple(random, static_cast<int>(i % kKinds));
    const float got = fma1(t.a, t.b, t.c), expected = std::fma(t.a, t.b, t.c);
    if (bits_of(got) == bits_of(expected)) continue;
    std::fprintf(stderr, "fma1(%a, %a, %a) is %a, fmaf says %a\n", t.a, t.b, t.c, got, expected);
    return false;
  }
  return true;
}

// The nearest multiple of the spacing of binary16 at v. nearbyint rounds halves to even, and float64 holds all of it.
double nearest_half(float v) {
  const int exponent = v == 0.0f ? -14 : std::max(std::ilogb(v), -14);
  const double nearest = std::ldexp(std::nearbyint(std::ldexp(static_cast<double>(v), 10 - exponent)), exponent - 10);
  return std::abs(nearest) >= 65536.0 ? std::copysign(HUGE_VAL, nearest) : nearest;
}

double value_of_half(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const double magnitude = exponent == 31 ? (mantissa == 0 ? HUGE_VAL : NAN)
                           : exponent == 0 ? std::ldexp(mantissa, -24)
                                           : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

bool check_half_of(float v) {
  const double got = value_of_half(to_half(v)), expected = nearest_half(v);
  if (got == expected && std::signbit(got) == std::signbit(v)) return true;
  std::fprintf(stderr, "to_half(%a) is %a, expected %a\n", v, got, expected);
  return false;
}

bool check_half() {
  std::mt19937_64 random(2);
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 4096; ++i) {
      const uint32_t bits = (static_cast<uint32_t>(random()) & 0x807fffffu) | exponent << 23;
      if (!check_half_of(from_bits(bits))) return false;
    }
  }
  // Every half, every place halfway between two, and the floats next to them.
  for (uint32_t half = 0; half < 0x7c00; ++half) {
    const double value = value_of_half(static_cast<uint16_t>(half));
    const double next = half == 0x7bff ? 65536.0 : value_of_half(static_cast<uint16_t>(half + 1));
    for (const double place : {value, (value + next) / 2}) {
      const auto v = static_cast<float>(place);
      for (const float near_v : {v, std::nextafter(v, 1e9f), std::nextafter(v, -1e9f)}) {
        if (!check_half_of(near_v) || !check_half_of(-near_v)) return false;
      }
    }
  }
  return true;
}

bool check_round_of(float v) {
  const double below = std::floor(static_cast<double>(v)), rest = static_cast<double>(v) - below;
  const bool up = rest > 0.5 || (rest == 0.5 && std::fmod(below, 2.0) != 0.0);
  if (round_even(v) == static_cast<int64_t>(below) + (up ? 1 : 0)) return true;
  std::fprintf(stderr, "round_even(%a) is %d\n", v, round_even(v));
  return false;
}

bool check_round() {
  for (int32_t i = -(1 << 20); i <= 1 << 20; ++i) {  // whole numbers, halves, and what lies next to them
    const float v = static_cast<float>(i) * 0.5f;
    if (!check_round_of(v) || !check_round_of(std::nextafter(v, 1e9f))) return false;
  }
  std::mt19937_64 random(3);
  for (int i = 0; i < 1 << 20; ++i) {
    const auto bits = static_cast<uint32_t>(random());
    if (!check_round_of(with_exponent(bits, static_cast<int32_t>(random() % (127 + 31))))) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t millions = argc > 1 ? std::atoll(argv[1]) : 20;
  if (argc > 2 || millions < 1) {
    std::fprintf(stderr, "usage: check_pixel [MILLIONS]\n");
    return 2;
  }
  if (!check_fma(millions * 1000000) || !check_fma_of_vectors(millions * 1000000) || !check_half() || !check_round()) return 1;
#if defined(EV_SOFTWARE_FMA)
  const char* how = "worked out in double";
#else
  const char* how = "an instruction";
#endif
  std::printf("%lld million multiply-adds (fma1 is %s), to_half, round_even: equal\n", static_cast<long long>(millions),
              how);
  return 0;
}
