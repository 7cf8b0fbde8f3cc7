// edgevision._native: CodedRows. Callers come through edgevision/gallery/index, whose messages are better; the checks here
// are what memory safety needs whoever calls.

#include "bind_search.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gil.h"
#include "search.h"

namespace nb = nanobind;

namespace edgevision {
namespace {

template <typename T>
using Table = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Row = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr size_t kMostDimension = 65536;  // up to which sums of products of codes fit int32

void require(bool holds, const char* message) {
  if (!holds) throw nb::value_error(message);
}

template <typename Array>
void require_aligned(const Array& array) {
  require(reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(typename Array::Scalar) == 0,
          "expected arrays whose elements are aligned in memory");
}

// The rows with the array that holds their floats.
struct Rows {
  Table<const float> table;
  std::unique_ptr<const CodedRows> coded;
};

FloatRows checked_table(const Table<const float>& table) {
  require_aligned(table);
  require(table.shape(0) < std::numeric_limits<std::uint32_t>::max(), "expected fewer than 2^32 - 1 rows");
  require(table.shape(1) >= 1 && table.shape(1) <= kMostDimension, "expected rows of 1 to 65536 numbers");
  return {table.data(), table.shape(0), table.shape(1)};
}

Rows* make_rows(const Table<const float>& table, const Row<const float>& centre, const Row<const std::int64_t>& offsets,
                const Row<const std::int64_t>& places, const std::string& scan_name) {
  const FloatRows rows = checked_table(table);
  require_aligned(centre);
  require_aligned(offsets);
  require_aligned(places);
  require(centre.shape(0) == rows.dimension, "expected a centre with as many numbers as a row");
  require(places.shape(0) == rows.rows, "expected as many places as rows");
  require(offsets.shape(0) >= 1 && offsets.data()[0] == 0, "expected offsets from 0 on");
  const std::vector<std::size_t> bounds(offsets.data(), offsets.data() + offsets.shape(0));
  for (std::size_t i = 1; i < bounds.size(); ++i) {
    require(bounds[i - 1] <= bounds[i] && bounds[i] <= rows.rows, "expected offsets that rise to the number of rows");
  }
  require(bounds.back() == rows.rows, "expected offsets that rise to the number of rows");
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const std::int64_t place = places.data()[i];
    require(place >= 0 && static_cast<std::size_t>(place) < rows.rows, "expected places of rows");
  }
  const Scan* scan = find_scan(scan_name);
  require(scan != nullptr, "expected the name of a scan that this CPU has");
  const GilReleased released;
  return new Rows{table, std::make_unique<CodedRows>(rows, centre.data(), bounds, places.data(), *scan)};
}

Rows* extend(const Rows& old, const Table<const float>& table, const Row<const std::int64_t>& blocks) {
  const FloatRows rows = checked_table(table);
  const FloatRows before = old.coded->table();
  require_aligned(blocks);
  require(rows.dimension == before.dimension && rows.rows >= before.rows, "expected the rows there are, and more of them");
  require(blocks.shape(0) == rows.rows - before.rows, "expected a block for each new row");
  std::int64_t next = static_cast<std::int64_t>(old.coded->blocks());
  for (std::size_t i = 0; i < blocks.shape(0); ++i) {
    require(blocks.data()[i] >= 0 && blocks.data()[i] <= next, "expected blocks that are there, or the next new one");
    if (blocks.data()[i] == next) ++next;
  }
  const GilReleased released;
  return new Rows{table, std::make_unique<CodedRows>(*old.coded, rows, blocks.data())};
}

// The first row that is not of length 1, NaN included; -1 where all are.
std::int64_t first_of_other_length(const Table<const float>& rows, const Scan& scan) {
  constexpr double kTolerance = 2e-3;  // of a square: float32 and int8 round
  const std::size_t dimension = rows.shape(1);
  for (std::size_t i = 0; i < rows.shape(0); ++i) {
    const float* row = rows.data() + i * dimension;
    const double square = scan.dot(row, row, dimension);
    if (!(square >= 1.0 - kTolerance && square <= 1.0 + kTolerance)) return static_cast<std::int64_t>(i);
  }
  return -1;
}

std::int64_t search(const Rows& rows, const Table<const float>& queries, const std::optional<Row<const bool>>& allowed,
            const std::optional<Table<const std::int64_t>>& blocks, const Table<std::int64_t>& places,
            const Table<float>& similarities) {
  const CodedRows& coded = *rows.coded;
  require_aligned(queries);
  require_aligned(places);
  require_aligned(similarities);
  require(queries.shape(1) == coded.table().dimension, "expected queries with as many numbers as a row");
  require(places.shape(0) == queries.shape(0) && similarities.shape(0) == queries.shape(0) &&
              similarities.shape(1) == places.shape(1),
          "expected places and similarities [queries, best]");
  require(places.shape(1) <= coded.table().rows, "expected at most as many places as rows");
  SearchRequest request{queries.data(), queries.shape(0), places.shape(1), nullptr, nullptr, 0};
  if (allowed) {
    require(allowed->shape(0) == coded.table().rows, "expected allowed [rows]");
    request.allowed = reinterpret_cast<const std::uint8_t*>(allowed->data());
  }
  if (blocks) {
    require_aligned(*blocks);
    require(blocks->shape(0) == queries.shape(0), "expected blocks [queries, m]");
    for (std::size_t i = 0; i < blocks->size(); ++i) {
      require(blocks->data()[i] >= 0 && static_cast<std::size_t>(blocks->data()[i]) < coded.blocks(), "expected blocks that are there");
    }
    request.blocks = blocks->data();
    request.blocks_each = blocks->shape(1);
  }
  const GilReleased released;
  const std::int64_t wrong = first_of_other_length(queries, coded.scan());
  if (wrong < 0) coded.search(request, places.data(), similarities.data());
  return wrong;
}

std::vector<std::string> scan_names() {
  std::vector<std::string> names;
  for (const Scan* scan : available_scans()) names.emplace_back(scan->name);
  return names;
}

std::vector<std::size_t> block_rows(const Rows& rows) {
  std::vector<std::size_t> sizes;
  for (std::size_t block = 0; block < rows.coded->blocks(); ++block) sizes.push_back(rows.coded->rows_of(block));
  return sizes;
}

}  // namespace

void bind_search(nb::module_& m) {
  m.def("available_scans", &scan_names, "Names of the scans that this CPU can run, fastest first.");
  nb::class_<Rows>(m, "CodedRows", "Rows of float32 numbers and their int8 copy, in which the most alike are found exactly.")
      .def("__init__",
           [](Rows* self, const Table<const float>& table, const Row<const float>& centre, const Row<const std::int64_t>& offsets,
              const Row<const std::int64_t>& places, const std::string& scan) {
             std::unique_ptr<Rows> made(make_rows(table, centre, offsets, places, scan));
             new (self) Rows(std::move(*made));
           },
           nb::arg("table").noconvert(), nb::arg("centre").noconvert(), nb::arg("offsets").noconvert(),
           nb::arg("places").noconvert(), nb::arg("scan") = "")
      .def("extended", &extend, nb::arg("table").noconvert(), nb::arg("blocks").noconvert(), nb::rv_policy::take_ownership,
           "The same with the rows that the table has more.")
      .def("search", &search, nb::arg("queries").noconvert(), nb::arg("allowed").noconvert().none(),
           nb::arg("blocks").noconvert().none(), nb::arg("places").noconvert(), nb::arg("similarities").noconvert(),
           "Writes the best rows of each query, and their similarities. Returns -1, or the first query that is not of length 1.")
      .def_prop_ro("block_rows", &block_rows, "How many rows each block holds.")
      .def_prop_ro("bytes", [](const Rows& rows) { return rows.coded->bytes(); }, "Memory of the int8 copy.")
      .def_prop_ro("scan", [](const Rows& rows) { return rows.coded->scan().name; }, "Which scan it uses.");
}

}  // namespace edgevision
