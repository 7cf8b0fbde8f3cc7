// The CUDA kernel as a function of this CPU, for tests/preprocess/test_cuda.py: a launch over jobs whose pointers are the
// host's. Blocks, warps and lanes run one after another.
#include "cuda/tile.h"

using namespace edgevision;

extern "C" void edgevision_preprocess(const CudaJob* jobs, int32_t blocks_x, int32_t blocks_y, int32_t items) {
  for (int32_t item = 0; item < items; ++item) {
    const CudaJob& job = jobs[item];
    for (int32_t y = 0; y < blocks_y; ++y) {
      for (int32_t x = 0; x < blocks_x; ++x) {
        const int32_t first_column = x * tile::kTileColumns, first_row = y * tile::kTileRows;
        if (first_column >= job.width) continue;
        const int32_t end = tile::min1(first_row + tile::kTileRows, job.height);
        for (int32_t warp = 0; warp < tile::kWarps; ++warp) {
          for (int32_t lane = 0; lane < tile::kLanes; ++lane) {
            tile::prepare_tile(job, first_column, lane, first_row + warp, tile::kWarps, end);
          }
        }
      }
    }
  }
}
