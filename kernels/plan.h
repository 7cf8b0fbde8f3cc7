// A plan: all that can be computed from a preprocess spec and one kind of frame before the first frame comes.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>

#include "loops.h"
#include "row_job.h"
#include "taps.h"
#include "workspace.h"

namespace edgevision {

enum class Color : int32_t { rgb, bgr, gray };
enum class Encoding : int32_t { bt601_limited, bt601_full, bt709_limited, bt709_full };

constexpr int32_t kMaxTensorSide = 8192;
constexpr int32_t kMaxFrameSide = 65535;
constexpr int64_t kMaxResizedSide = int64_t{1} << 33;  // a crop of the flattest frame into the largest tensor: 5.4e9

// How a frame becomes a tensor; edgevision/preprocess/spec.py says what each field means. Where the picture lies in it is
// a Placement: fit, crop ratio and rounding are done with then.
struct Spec {
  int32_t height, width;
  Filter filter;
  Color color;
  double mean[3], std[3];  // the first only for Color::gray
  double pad_value;
  Layout layout;
  Dtype dtype;
};

// Frames of one size, format and encoding, and the region of them that is wanted.
struct Source {
  int32_t height, width;
  Format format;
  Encoding encoding;
  int32_t x, y, region_width, region_height;
};

// Where the resized picture lies in the tensor; top and left are negative where the tensor cuts it off. Along each axis it
// lies inside the tensor or covers it. edgevision/preprocess/geometry.py works it out.
struct Placement {
  int64_t height, width, top, left;
};

// The message says what was expected, what came, and what to do.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// Planes of one frame, each with its first row and the bytes from a row to the next.
struct Planes {
  const uint8_t* data[3];
  int64_t pitch[3];
};

int32_t channels(Color color);
int32_t plane_count(Format format);
// Rows and bytes in a row of plane `index` of a frame.
struct PlaneShape {
  int32_t rows;
  int64_t row_bytes;
};
PlaneShape plane_shape(const Source& source, int32_t index);

// Rows of a plane that are copied for one output row: two, and one more to keep odd rows odd.
constexpr int32_t kCopiedRows = 3;
size_t copied_rows_bytes(const Source& source);

// Immutable, and so shared by any number of threads.
class Plan {
 public:
  // Throws InvalidArgument for values that make no tensor.
  Plan(const Spec& spec, const Source& source, const Placement& placement, const Loops& loops);

  const Spec& spec() const { return spec_; }
  const Source& source() const { return source_; }
  const Loops& loops() const { return loops_; }
  int64_t out_bytes() const;

  // What the kernels read, without planes and out: those are the caller's, frame by frame.
  const RowJob& job() const { return job_; }

  // Prepare rows begin … end - 1 of the tensor at `out`. `padded`: what the picture does not cover holds the pad
  // already.
  void run_rows(const Planes& planes, void* out, bool padded, int32_t begin, int32_t end) const;

  // Write the pad to every element of those rows that the picture does not cover.
  void write_pad(void* out, int32_t begin, int32_t end) const;

 private:
  Spec spec_;
  Source source_;
  Placement placement_;
  const Loops& loops_;
  AxisTaps rows_, columns_;
  RowJob job_{};
  size_t scratch_bytes_;  // for the loops, at the beginning of a workspace; copies of rows follow
  mutable WorkspacePool workspaces_;
};

}  // namespace edgevision
