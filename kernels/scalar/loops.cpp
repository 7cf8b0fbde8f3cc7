// The scalar loop: pixel.h for each pixel of the tensor. The oracle of every other path, and what any CPU can run.
#include "../loops.h"
#include "../pixel.h"

namespace edgevision {
namespace {

void picture(const RowJob& job, RowRange rows, uint8_t*) {
  for (int32_t row = rows.begin; row < rows.end; ++row) {
    for (int32_t x = 0; x < job.columns.count; ++x) prepare_pixel(job, job.top + row, job.left + x);
  }
}

size_t scratch_bytes(const RowJob&) { return 0; }

}  // namespace

extern const Loops scalar_loops = {"scalar", picture, scratch_bytes, false};

}  // namespace edgevision
