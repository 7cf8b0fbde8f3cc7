// The CUDA kernel: one launch for the items of a batch, whatever the size, format, region and filter of each.
//
// tile.h says what a thread does. A block works on one item, blockIdx.z, so that no branch on the item's format, filter
// or dtype diverges. Compile with -fmad=false and without fast-math: pixel.h says why.
#include "tile.h"

using namespace edgevision;

// Grid: (columns of the widest tensor / kTileColumns, rows of the tallest / kTileRows, items), rounded up. Block:
// (kLanes, kWarps). `jobs`: one for each item.
extern "C" __global__ void __launch_bounds__(tile::kLanes* tile::kWarps, tile::kBlocks)
    edgevision_preprocess(const CudaJob* __restrict__ jobs) {
  // Shared, not in registers: every thread needs all of it, one field at a time.
  __shared__ CudaJob job;
  constexpr int kWords = sizeof(CudaJob) / sizeof(uint32_t);
  static_assert(sizeof(CudaJob) % sizeof(uint32_t) == 0, "a whole number of words");
  static_assert(kWords <= tile::kLanes * tile::kWarps, "one word to a thread");
  const int thread = threadIdx.y * tile::kLanes + threadIdx.x;
  if (thread < kWords) {
    reinterpret_cast<uint32_t*>(&job)[thread] = __ldg(reinterpret_cast<const uint32_t*>(jobs + blockIdx.z) + thread);
  }
  __syncthreads();

  const int32_t first_column = blockIdx.x * tile::kTileColumns, first_row = blockIdx.y * tile::kTileRows;
  if (first_column >= job.width) return;
  const int32_t end = min(first_row + tile::kTileRows, job.height);
  tile::prepare_tile(job, first_column, threadIdx.x, first_row + threadIdx.y, tile::kWarps, end);
}

// Its size is that of a CudaJob: whoever loads the module compares it with the host's.
extern "C" {
__constant__ uint8_t edgevision_job[sizeof(CudaJob)];
}
