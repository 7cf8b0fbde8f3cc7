// What the CUDA kernel reads, made from a plan: its tables in one block, and a CudaJob. Nothing here calls CUDA:
// edgevision/preprocess/cuda.py copies the bytes to the device.
#include "bind_cuda.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <utility>
#include <vector>

#include "cuda/tile.h"
#include "plan.h"

namespace nb = nanobind;

namespace edgevision {
namespace {

constexpr size_t kTableAlignment = 16;

static_assert(sizeof(Axis) == 56, "an Axis has changed: a table that is new has to travel, too");

// The tables of a plan one after another: first, weight and knot of the rows, then of the columns.
class TableBlock {
 public:
  explicit TableBlock(const RowJob& job) {
    for (const Axis* axis : {&job.rows, &job.columns}) {
      const auto count = static_cast<size_t>(axis->count), weights = count * static_cast<size_t>(axis->stride);
      add(axis->first, count * sizeof(int32_t));
      add(axis->weight, weights * sizeof(float));
      if (axis->knot != nullptr) add(axis->knot, (static_cast<size_t>(axis->pieces) + 1) * sizeof(int32_t));
    }
  }

  nb::bytes bytes() const {
    std::vector<char> block(size_);
    for (const Table& table : tables_) std::memcpy(block.data() + table.at, table.data, table.bytes);
    return nb::bytes(block.data(), block.size());
  }

  // `job` with the block at `address` in place of the plan's own tables.
  CudaJob moved(RowJob job, uint64_t address) const {
    size_t next = 0;
    for (Axis* axis : {&job.rows, &job.columns}) {
      axis->first = reinterpret_cast<const int32_t*>(address + tables_[next++].at);
      axis->weight = reinterpret_cast<const float*>(address + tables_[next++].at);
      if (axis->knot != nullptr) axis->knot = reinterpret_cast<const int32_t*>(address + tables_[next++].at);
    }
    return job;
  }

 private:
  struct Table {
    const void* data;
    size_t bytes, at;
  };

  void add(const void* data, size_t bytes) {
    tables_.push_back({data, bytes, size_});
    size_ += (bytes + kTableAlignment - 1) / kTableAlignment * kTableAlignment;
  }

  std::vector<Table> tables_;
  size_t size_ = 0;
};

nb::bytes cuda_job(const Plan& plan, const std::vector<std::pair<uint64_t, int64_t>>& planes, uint64_t tables,
                   uint64_t out) {
  const auto expected = static_cast<size_t>(plane_count(plan.source().format));
  if (planes.size() != expected) {
    throw InvalidArgument("expected " + std::to_string(expected) + " planes, got " + std::to_string(planes.size()));
  }
  if (tables == 0 || tables % kTableAlignment != 0) throw InvalidArgument("expected tables at a multiple of 16 bytes");
  CudaJob job = TableBlock(plan.job()).moved(plan.job(), tables);
  for (size_t p = 0; p < planes.size(); ++p) {
    job.plane[p] = reinterpret_cast<const uint8_t*>(planes[p].first);
    job.pitch[p] = planes[p].second;
  }
  job.out = reinterpret_cast<void*>(out);
  return nb::bytes(reinterpret_cast<const char*>(&job), sizeof job);
}

}  // namespace

void bind_cuda(nb::module_& m) {
  using namespace nb::literals;
  m.attr("CUDA_JOB_BYTES") = sizeof(CudaJob);
  m.attr("CUDA_TILE") = nb::make_tuple(tile::kTileColumns, tile::kTileRows);
  m.attr("CUDA_BLOCK") = nb::make_tuple(tile::kLanes, tile::kWarps);
  m.def(
      "cuda_tables", [](const Plan& plan) { return TableBlock(plan.job()).bytes(); }, "plan"_a,
      "The plan's tables as one block for the device, where it has to lie at a multiple of 16 bytes.");
  m.def("cuda_job", &cuda_job, "plan"_a, "planes"_a, "tables"_a, "out"_a,
        "A CudaJob: planes = (address, bytes from row to row) each, all addresses the device's.");
}

}  // namespace edgevision
