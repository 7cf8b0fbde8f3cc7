// Checks the loops of this CPU against the scalar ones, bit for bit, over random plans: odd sizes, single pixels, strides
// in both directions, regions at the borders, every format and encoding. Needs no Python, so that it runs under an
// emulator, a sanitizer, or on a board.
//
//   check_loops PLANS [SEED]    compares; exit status 1 on the first difference
//   check_loops digest PLANS    prints a digest of what the scalar loops give: the same on every machine
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "plan.h"
#include "random_plan.h"

namespace {

using namespace edgevision;

// Run in two pieces, as two threads would; empty if a sentinel around the tensor was written over.
std::vector<uint8_t> run_guarded(const Plan& plan, const Planes& planes, int32_t split, bool padded) {
  return run_between_sentinels(static_cast<size_t>(plan.out_bytes()), [&](uint8_t* out) {
    const int32_t height = plan.spec().height;
    if (padded) plan.write_pad(out, 0, height);
    plan.run_rows(planes, out, padded, split, height);
    plan.run_rows(planes, out, padded, 0, split);
  });
}

int compare(int32_t plans, uint64_t seed) {
  const Loops& scalar = *find_loops("scalar");
  for (int32_t i = 0; i < plans; ++i) {
    Random random(seed * 1000003u + static_cast<uint64_t>(i));
    const Case c = random_case(random);
    const Picture picture = random_picture(random, c.source);
    const int32_t split = random.whole(0, c.spec.height);
    const std::vector<uint8_t> expected = run_guarded(Plan(c.spec, c.source, c.placement, scalar), picture.planes, 0, false);
    for (const Loops* loops : available_loops()) {
      const std::vector<uint8_t> got = run_guarded(Plan(c.spec, c.source, c.placement, *loops), picture.planes, split, i % 2 == 0);
      if (got == expected && !got.empty()) continue;
      size_t at = 0;
      while (at < got.size() && got[at] == expected[at]) ++at;
      std::fprintf(stderr, "plan %d of seed %llu: %s %s at byte %zu of %zu\n", i, static_cast<unsigned long long>(seed),
                   loops->name, got.empty() ? "wrote outside the tensor" : "differs from scalar", at, got.size());
      describe(c);
      return 1;
    }
  }
  std::printf("%d plans, loops", plans);
  for (const Loops* loops : available_loops()) std::printf(" %s", loops->name);
  std::printf(": equal\n");
  return 0;
}

int digest(int32_t plans) {
  uint64_t hash = 1469598103934665603u;  // FNV-1a
  for (int32_t i = 0; i < plans; ++i) {
    Random random(static_cast<uint64_t>(i));
    const Case c = random_case(random);
    const Picture picture = random_picture(random, c.source);
    for (const uint8_t byte : run_guarded(Plan(c.spec, c.source, c.placement, *find_loops("scalar")), picture.planes, 0, false)) {
      hash = (hash ^ byte) * 1099511628211u;
    }
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(hash));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "digest") return digest(std::atoi(argv[2]));
  if (argc < 2 || std::atoi(argv[1]) < 1) {
    std::fprintf(stderr, "usage: check_loops PLANS [SEED] | check_loops digest PLANS\n");
    return 2;
  }
  return compare(std::atoi(argv[1]), argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
}
