// Running a plan. Most rows of the tensor are computed from the frame in place. Where vectors would read past the end
// of a plane, the few source rows concerned are copied to where there is room behind them.
#include <algorithm>
#include <cstring>

#include "pixel.h"
#include "plan.h"

namespace edgevision {
namespace {

// A plane of the frame as bytes.
struct PlaneBytes {
  const uint8_t* data;
  int64_t pitch, rows, row_bytes;

  const uint8_t* row(int64_t index) const { return data + index * pitch; }

  // Whether kOverread bytes behind the row lie within the plane, padding between its rows included.
  bool can_overread(int64_t index) const {
    const uint8_t* last = row(pitch > 0 ? rows - 1 : 0);
    return row(index) - last + kOverread <= 0;
  }
};

PlaneBytes plane_bytes(const Source& source, const Planes& planes, int32_t index) {
  const PlaneShape shape = plane_shape(source, index);
  return {planes.data[index], planes.pitch[index], shape.rows, shape.row_bytes};
}

bool is_half_height(Format format, int32_t plane) {
  return plane > 0 && (format == Format::nv12 || format == Format::i420);
}

// Prepare one row of the picture from copies of the source rows that it reads.
void copied_row(const RowJob& job, const Source& source, const Planes& planes, const Loops& loops, int32_t row,
                uint8_t* copies, uint8_t* scratch) {
  const int32_t y = job.rows.first[row];
  const int32_t parity = y & 1;  // the copies keep it: it says which rows share their chroma
  RowJob one = job;
  for (int32_t p = 0; p < plane_count(source.format); ++p) {
    const PlaneBytes plane = plane_bytes(source, planes, p);
    const int64_t pitch = plane.row_bytes + kOverread;
    for (int32_t i = 0; i < job.rows.taps; ++i) {
      const int32_t half = is_half_height(source.format, p) ? 1 : 0;
      std::memcpy(copies + ((parity + i) >> half) * pitch, plane.row((y + i) >> half),
                  static_cast<size_t>(plane.row_bytes));
    }
    one.plane[p] = copies;
    one.pitch[p] = pitch;
    copies += kCopiedRows * pitch;
  }
  one.rows.first = &parity;
  one.rows.weight = job.rows.weight + row;
  one.rows.count = 1;
  one.top = job.top + row;
  // The copy is a picture of one row, whose place in the tensor follows from `top`.
  loops.picture(one, {0, 1}, scratch);
}

}  // namespace

size_t copied_rows_bytes(const Source& source) {
  int64_t bytes = 0;
  for (int32_t p = 0; p < plane_count(source.format); ++p) {
    bytes += kCopiedRows * (plane_shape(source, p).row_bytes + kOverread);
  }
  return static_cast<size_t>(bytes);
}

void Plan::run_rows(const Planes& planes, void* out, bool padded, int32_t begin, int32_t end) const {
  RowJob job = job_;
  job.out = out;
  for (int32_t p = 0; p < 3; ++p) {
    job.plane[p] = planes.data[p];
    job.pitch[p] = planes.pitch[p];
  }
  if (!padded) write_pad(out, begin, end);

  const int32_t first = std::clamp(begin - job.top, 0, job.rows.count);
  const int32_t last = std::clamp(end - job.top, 0, job.rows.count);
  if (first == last) return;
  const WorkspacePool::Lease workspace(workspaces_);
  uint8_t* scratch = workspace.data();
  if (job.resampling != Resampling::lerp || !loops_.overreads) return loops_.picture(job, {first, last}, scratch);

  const auto can_overread = [&](int32_t row) {
    for (int32_t p = 0; p < plane_count(source_.format); ++p) {
      const PlaneBytes plane = plane_bytes(source_, planes, p);
      const int32_t half = is_half_height(source_.format, p) ? 1 : 0;
      for (int32_t i = 0; i < job.rows.taps; ++i) {
        if (!plane.can_overread((job.rows.first[row] + i) >> half)) return false;
      }
    }
    return true;
  };
  // One call covers all rows whose source can be read in place: all but the last few, or all but the first few if the
  // pitch is negative.
  int32_t row = first;
  while (row < last) {
    int32_t stop = row;
    while (stop < last && can_overread(stop)) ++stop;
    if (stop > row) {
      loops_.picture(job, {row, stop}, scratch);
      row = stop;
    } else {
      copied_row(job, source_, planes, loops_, row, scratch + scratch_bytes_, scratch);
      ++row;
    }
  }
}

}  // namespace edgevision
