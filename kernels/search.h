// The rows of a table that are most like a query: exactly those, though most of the table is only read as int8.
//
// A row x is kept as x = centre + scale * code + rest, codes -127 … 127, and a query q as q = scale' * code' + rest'. So
//
//   x·q = centre·q + scale * scale' * (code·code')  +  (scale * code)·rest' + rest·q
//
// where the first is the same for all rows, and the last two are at most |scale * code| |rest'| + |rest| |q| (Cauchy and
// Schwarz). That is how far the integer dot product, which a scan gives for every row, can be from the truth. k rows that
// surely reach some similarity rule out every row that surely does not. What is left is compared by its floats.
//
// A similarity is the dot product of the float32 numbers, summed as doubles in an order that search.cpp says, and rounded
// to float32 once: the same bits on every CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "scan.h"

namespace edgevision {

// Rows of a table [rows, dimension] of finite float32 numbers, which belongs to the caller and stays where it is.
struct FloatRows {
  const float* data;
  size_t rows, dimension;
};

struct SearchRequest {
  const float* queries;  // [count, dimension], finite
  size_t count;
  size_t best;             // how many rows are wanted
  const uint8_t* allowed;  // [rows], 0 = leave it out; nullptr: all are allowed
  const int64_t* blocks;   // [count, blocks_each]: which blocks to look into for each query; nullptr: all of them
  size_t blocks_each;
};

// The int8 copy of a table, in blocks. Immutable, and so shared by threads; a table with more rows shares its blocks.
class CodedRows {
 public:
  // Block b holds the rows places[offsets[b]] … places[offsets[b + 1] - 1]. `centre` [dimension]: any point; the rows'
  // mean makes codes finer. Throws std::bad_alloc.
  CodedRows(const FloatRows& table, const float* centre, const std::vector<size_t>& offsets, const int64_t* places, const Scan& scan);

  // The same with the rows that `table` has more than this; blocks[i] says where the i-th of them goes: a block that is
  // there, or the next new one.
  CodedRows(const CodedRows& old, const FloatRows& table, const int64_t* blocks);

  // Writes places and similarities [count, best], best first, equal ones by place. Where a query's blocks hold fewer
  // rows that are allowed, -1 and -infinity follow.
  void search(const SearchRequest& request, int64_t* places, float* similarities) const;

  size_t blocks() const { return blocks_.size(); }
  size_t rows_of(size_t block) const;
  const FloatRows& table() const { return table_; }
  const Scan& scan() const { return *scan_; }
  size_t bytes() const;  // of the copy

 private:
  struct Block;
  class Query;

  std::shared_ptr<const Block> make_block(const Block* old, const std::vector<uint32_t>& more) const;
  void update_reach();

  FloatRows table_;
  size_t chunks_;
  const Scan* scan_;
  std::vector<float> centre_, nothing_;  // nothing_: zeros
  std::vector<std::shared_ptr<const Block>> blocks_;
  double reach_ = 0.0;   // at least |row - centre| and |scale * code| of every row
  double centre_norm_ = 0.0;
};

// The similarity of two rows of floats.
float similarity(const float* a, const float* b, size_t dimension);

}  // namespace edgevision
