// edgevision._native: nms, softmax, top_k. Callers come through edgevision/tasks/postprocess.py, whose messages are
// better; the checks here are what memory safety needs whoever calls.

#include "bind_postprocess.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "gil.h"
#include "nms.h"
#include "scores.h"

namespace nb = nanobind;

namespace edgevision {
namespace {

template <typename T>
using Table = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Row = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Boxes = nb::ndarray<const float, nb::ndim<3>, nb::device::cpu>;

void require(bool holds, const char* message) {
  if (!holds) throw nb::value_error(message);
}

template <typename Array>
void require_aligned(const Array& array) {
  require(reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(typename Array::Scalar) == 0,
          "expected arrays whose elements are aligned in memory");
}

std::int64_t checked_nms(const Boxes& boxes, const Table<const float>& scores,
                         const std::optional<Table<const std::int64_t>>& classes, double iou_threshold,
                         double score_threshold, const Table<std::int64_t>& kept, const Row<std::int64_t>& counts) {
  const std::size_t items = boxes.shape(0), n = boxes.shape(1);
  require(boxes.shape(2) == 4, "expected boxes [b, n, 4]");
  require(n <= std::numeric_limits<std::uint32_t>::max(), "expected fewer than 2^32 boxes");
  require(scores.shape(0) == items && scores.shape(1) == n, "expected scores [b, n] for boxes [b, n, 4]");
  require(!classes || (classes->shape(0) == items && classes->shape(1) == n),
          "expected classes [b, n] for boxes [b, n, 4]");
  require(kept.shape(0) == items && counts.shape(0) == items,
          "expected kept [b, m] and counts [b] for boxes [b, n, 4]");
  require(iou_threshold >= 0.0 && iou_threshold <= 1.0, "expected 0 <= iou_threshold <= 1");
  require(!std::isnan(score_threshold), "expected a score_threshold that is a number");
  require_aligned(boxes);
  require_aligned(scores);
  if (classes) require_aligned(*classes);
  require_aligned(kept);
  require_aligned(counts);
  NmsBatch batch;
  batch.items = items;
  batch.boxes_per_item = n;
  batch.boxes = boxes.data();
  batch.item_stride = static_cast<std::ptrdiff_t>(boxes.stride(0));
  batch.box_stride = static_cast<std::ptrdiff_t>(boxes.stride(1));
  batch.coordinate_stride = static_cast<std::ptrdiff_t>(boxes.stride(2));
  batch.scores = scores.data();
  batch.classes = classes ? classes->data() : nullptr;
  const NmsOptions options{iou_threshold, static_cast<float>(score_threshold)};
  const GilReleased released;
  return nms(batch, options, kept.shape(1), kept.data(), counts.data());
}

template <typename T>
std::int64_t checked_softmax(const Table<const T>& logits, double temperature, const Table<T>& out) {
  require(temperature > 0 && std::isnormal(static_cast<T>(temperature)), "expected a finite temperature above 0");
  require(logits.shape(0) == out.shape(0) && logits.shape(1) == out.shape(1), "expected out of the logits' shape");
  require_aligned(logits);
  require_aligned(out);
  const GilReleased released;
  return softmax(logits.data(), logits.shape(0), logits.shape(1), temperature, out.data());
}

template <typename T>
std::int64_t checked_top_k(const Table<const T>& scores, const Table<std::int64_t>& indices, const Table<T>& values) {
  const std::size_t rows = scores.shape(0), count = indices.shape(1);
  require(indices.shape(0) == rows && values.shape(0) == rows && values.shape(1) == count && count <= scores.shape(1),
          "expected indices and values [n, c] with c <= k for scores [n, k]");
  require_aligned(scores);
  require_aligned(indices);
  require_aligned(values);
  const GilReleased released;
  return top_k(scores.data(), rows, scores.shape(1), count, indices.data(), values.data());
}

template <typename T>
void bind_scores(nb::module_& m) {
  m.def("softmax", &checked_softmax<T>, nb::arg("logits").noconvert(), nb::arg("temperature"), nb::arg("out").noconvert(),
        "Writes the softmax of each row. Returns -1, or the first row that has none.");
  m.def("top_k", &checked_top_k<T>, nb::arg("scores").noconvert(), nb::arg("indices").noconvert(),
        nb::arg("values").noconvert(), "Writes the largest of each row. Returns -1, or the first row that holds NaN.");
}

}  // namespace

void bind_postprocess(nb::module_& m) {
  m.def("nms", &checked_nms, nb::arg("boxes").noconvert(), nb::arg("scores").noconvert(), nb::arg("classes").noconvert().none(),
        nb::arg("iou_threshold"), nb::arg("score_threshold"), nb::arg("kept").noconvert(),
        nb::arg("counts").noconvert(),
        "Writes the kept indices [b, m] and their counts [b]. Returns -1, or the flat index of the first NaN score.");
  bind_scores<float>(m);
  bind_scores<double>(m);
}

}  // namespace edgevision
