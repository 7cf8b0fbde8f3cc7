// Checks what the threads of the CUDA kernel do, run one after another on this CPU, against the scalar loops: bit for bit,
// over random plans. Needs no GPU and no CUDA toolkit.
//
//   check_cuda_host PLANS [SEED]    compares; exit status 1 on the first difference
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cuda/tile.h"
#include "plan.h"
#include "random_plan.h"

namespace {

using namespace edgevision;

RowJob filled(const Plan& plan, const Planes& planes, void* out) {
  RowJob job = plan.job();
  job.out = out;
  for (int32_t p = 0; p < 3; ++p) {
    job.plane[p] = planes.data[p];
    job.pitch[p] = planes.pitch[p];
  }
  return job;
}

// A grid as the kernel's: every block of the tensor, every warp of the block, every lane of the warp.
void run_grid(const RowJob& job) {
  for (int32_t first_row = 0; first_row < job.height; first_row += tile::kTileRows) {
    const int32_t end = tile::min1(first_row + tile::kTileRows, job.height);
    for (int32_t first_column = 0; first_column < job.width; first_column += tile::kTileColumns) {
      for (int32_t warp = 0; warp < tile::kWarps; ++warp) {
        for (int32_t lane = 0; lane < tile::kLanes; ++lane) {
          tile::prepare_tile(job, first_column, lane, first_row + warp, tile::kWarps, end);
        }
      }
    }
  }
}

int compare(int32_t plans, uint64_t seed) {
  const Loops& scalar = *find_loops("scalar");
  int32_t fast = 0;
  for (int32_t i = 0; i < plans; ++i) {
    Random random(seed * 1000003u + static_cast<uint64_t>(i));
    const Case c = random_case(random);
    const Picture picture = random_picture(random, c.source);
    const Plan plan(c.spec, c.source, c.placement, scalar);
    const auto size = static_cast<size_t>(plan.out_bytes());
    const std::vector<uint8_t> expected = run_between_sentinels(
        size, [&](uint8_t* out) { plan.run_rows(picture.planes, out, false, 0, c.spec.height); });
    const std::vector<uint8_t> got = run_between_sentinels(size, [&](uint8_t* out) {
      const RowJob job = filled(plan, picture.planes, out);
      fast += job.resampling == Resampling::lerp && tile::samples_are_aligned(job) ? 1 : 0;
      run_grid(job);
    });
    if (got == expected && !got.empty()) continue;
    size_t at = 0;
    while (at < got.size() && got[at] == expected[at]) ++at;
    std::fprintf(stderr, "plan %d of seed %llu: %s at byte %zu of %zu\n", i, static_cast<unsigned long long>(seed),
                 got.empty() ? "wrote outside the tensor" : "differs from scalar", at, got.size());
    describe(c);
    return 1;
  }
  std::printf("%d plans, %d of them by the fast path: equal\n", plans, fast);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || std::atoi(argv[1]) < 1) {
    std::fprintf(stderr, "usage: check_cuda_host PLANS [SEED]\n");
    return 2;
  }
  return compare(std::atoi(argv[1]), argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
}
