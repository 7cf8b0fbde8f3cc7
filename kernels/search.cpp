#include "search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace edgevision {
namespace {

constexpr size_t kHugePage = size_t{1} << 21;
// Times (|row|'s bound) × (|query|'s): more than all that float32 and double sums round off, here and in scans, by far.
constexpr double kRounding = 1.0 / (1 << 18);

// Memory in whole cache lines; of much of it, in huge pages where the system has them, so that a scan does not wait for
// the tables of small ones.
struct Bytes {
  explicit Bytes(size_t size) : data(static_cast<uint8_t*>(::operator new(size, alignment(size)))), size(size) {
#if defined(__linux__)
    if (size >= kHugePage) madvise(data, size, MADV_HUGEPAGE);
#endif
  }
  ~Bytes() { ::operator delete(data, alignment(size)); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  static std::align_val_t alignment(size_t size) { return std::align_val_t{size >= kHugePage ? kHugePage : 64}; }

  uint8_t* data;
  size_t size;
};

// A float that is not smaller.
float rounded_up(double value) {
  const float nearest = static_cast<float>(value);
  return nearest >= value ? nearest : std::nextafter(nearest, std::numeric_limits<float>::infinity());
}

struct Found {
  float similarity;
  uint32_t place;
};

bool better(const Found& a, const Found& b) {
  return a.similarity > b.similarity || (a.similarity == b.similarity && a.place < b.place);
}

}  // namespace

float similarity(const float* a, const float* b, size_t dimension) { return static_cast<float>(find_scan("scalar")->dot(a, b, dimension)); }

struct CodedRows::Block {
  std::vector<uint32_t> places;  // of its rows; a group's last may be missing
  std::unique_ptr<Bytes> codes;
  std::vector<float> scales, errors;  // for whole groups
  double reach = 0.0;

  size_t groups() const { return scales.size() / kGroupRows; }
};

CodedRows::CodedRows(const FloatRows& table, const float* centre, const std::vector<size_t>& offsets, const int64_t* places,
                     const Scan& scan)
    : table_(table), chunks_((table.dimension + kChunkBytes - 1) / kChunkBytes), scan_(&scan),
      centre_(centre, centre + table.dimension), nothing_(table.dimension, 0.0f) {
  for (size_t block = 0; block + 1 < offsets.size(); ++block) {
    const std::vector<uint32_t> rows(places + offsets[block], places + offsets[block + 1]);
    blocks_.push_back(make_block(nullptr, rows));
  }
  update_reach();
}

CodedRows::CodedRows(const CodedRows& old, const FloatRows& table, const int64_t* blocks)
    : table_(table), chunks_(old.chunks_), scan_(old.scan_), centre_(old.centre_), nothing_(old.nothing_), blocks_(old.blocks_) {
  const size_t count = table.rows - old.table_.rows;
  std::vector<std::vector<uint32_t>> more;
  for (size_t i = 0; i < count; ++i) {
    const auto block = static_cast<size_t>(blocks[i]);
    if (block >= more.size()) more.resize(block + 1);
    more[block].push_back(static_cast<uint32_t>(old.table_.rows + i));
  }
  if (more.size() > blocks_.size()) blocks_.resize(more.size());
  for (size_t block = 0; block < more.size(); ++block) {
    if (!more[block].empty() || blocks_[block] == nullptr) blocks_[block] = make_block(blocks_[block].get(), more[block]);
  }
  update_reach();
}

void CodedRows::update_reach() {
  reach_ = 0.0;
  for (const auto& block : blocks_) reach_ = std::max(reach_, block->reach);
  centre_norm_ = std::sqrt(scan_->dot(centre_.data(), centre_.data(), centre_.size()));
}

std::shared_ptr<const CodedRows::Block> CodedRows::make_block(const Block* old, const std::vector<uint32_t>& more) const {
  auto block = std::make_shared<Block>();
  const size_t before = old == nullptr ? 0 : old->places.size(), rows = before + more.size();
  const size_t groups = (rows + kGroupRows - 1) / kGroupRows, group_bytes = chunks_ * kGroupRows * kChunkBytes;
  block->codes = std::make_unique<Bytes>(groups * group_bytes);
  block->scales.resize(groups * kGroupRows, 0.0f);
  block->errors.resize(groups * kGroupRows, -std::numeric_limits<float>::infinity());
  block->places.reserve(rows);
  size_t kept = 0;
  if (old != nullptr) {
    kept = old->groups() * group_bytes;
    std::memcpy(block->codes->data, old->codes->data, kept);
    std::copy(old->scales.begin(), old->scales.end(), block->scales.begin());
    std::copy(old->errors.begin(), old->errors.end(), block->errors.begin());
    block->places = old->places;
    block->reach = old->reach;
  }
  std::memset(block->codes->data + kept, 128, groups * group_bytes - kept);
  std::vector<int8_t> codes(chunks_ * kChunkBytes, 0);
  for (const uint32_t place : more) {
    const size_t at = block->places.size(), group = at / kGroupRows, row = at % kGroupRows;
    Codes made{codes.data(), 0.0f, 0, 0.0, 0.0};
    scan_->quantise(table_.data + place * table_.dimension, centre_.data(), table_.dimension, &made);
    uint8_t* out = block->codes->data + group * group_bytes + row * kChunkBytes;
    for (size_t chunk = 0; chunk < chunks_; ++chunk, out += kGroupRows * kChunkBytes) {
      for (size_t i = 0; i < kChunkBytes; ++i) out[i] = static_cast<uint8_t>(codes[chunk * kChunkBytes + i] + 128);
    }
    block->scales[at] = made.scale;
    block->errors[at] = rounded_up(made.rest);
    block->reach = std::max(block->reach, made.length + made.rest);
    block->places.push_back(place);
  }
  return block;
}

size_t CodedRows::rows_of(size_t block) const { return blocks_[block]->places.size(); }

size_t CodedRows::bytes() const {
  size_t bytes = 0;
  for (const auto& block : blocks_) {
    bytes += block->codes->size + block->scales.size() * (sizeof(float) + sizeof(float)) + block->places.size() * sizeof(uint32_t);
  }
  return bytes;
}

// One query under way: the rows that may be among its best, and the limit under which none can be.
class CodedRows::Query : public ScanQuery {
 public:
  Query(const CodedRows& rows, const float* vector, size_t best, const uint8_t* allowed)
      : rows_(rows), vector_(vector), best_(best), allowed_(allowed), own_codes_(rows.chunks_ * kChunkBytes, 0) {
    const size_t dimension = rows.table_.dimension;
    Codes made{own_codes_.data(), 0.0f, 0, 0.0, 0.0};
    rows.scan_->quantise(vector, rows.nothing_.data(), dimension, &made);
    codes = own_codes_.data();
    bias = 128 * made.sum;
    scale = made.scale;
    const double length = std::sqrt(rows.scan_->dot(vector, vector, dimension)) * (1.0 + 1e-9);
    norm = rounded_up(length);
    candidates_.reserve(256);
    slack_ = rows.reach_ * made.rest + kRounding * (rows.reach_ + rows.centre_norm_) * (length + made.rest);
    slack_ = std::max(slack_, 1e-30);  // of nothing but zeros: what is compared with the limit has to be over it
    centre_dot_ = rows.scan_->dot(rows.centre_.data(), vector, dimension);
    limit = -std::numeric_limits<float>::max();
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  void begin(const Block& block) { block_ = &block; }

  // Of a group, whatever may be over the limit. `high` is the most that a row's similarity can be, less what is the same
  // for all rows: centre·q and the slack.
  void keep(size_t group, const int32_t* dots) {
    const size_t first = group * kGroupRows, rows = std::min(kGroupRows, block_->places.size() - first);
    for (size_t i = 0; i < rows; ++i) {
      const float error = block_->errors[first + i] * norm;
      const float high = static_cast<float>(dots[i]) * (block_->scales[first + i] * scale) + error;
      if (!(high > limit)) continue;
      const uint32_t place = block_->places[first + i];
      if (allowed_ != nullptr && allowed_[place] == 0) continue;
      candidates_.push_back({high, place});
      reach_at_least(static_cast<double>(high) - 2.0 * static_cast<double>(error) - slack_);
    }
    if (candidates_.size() >= most_candidates_) {
      drop_hopeless();
      most_candidates_ = std::max(most_candidates_, 2 * candidates_.size());
    }
  }

  // Writes the best rows, and fills up with -1.
  void finish(int64_t* places, float* similarities) {
    drop_hopeless();
    std::sort(candidates_.begin(), candidates_.end(), [](const Found& a, const Found& b) { return a.similarity > b.similarity; });
    std::vector<Found> found;  // a heap with the worst on top
    found.reserve(best_ + 1);
    for (const Found& candidate : candidates_) {
      if (found.size() == best_) {
        const double most = static_cast<double>(candidate.similarity) + slack_ + centre_dot_;
        if (most < static_cast<double>(found.front().similarity)) break;  // nor can those after it
      }
      const float* row = rows_.table_.data + candidate.place * rows_.table_.dimension;
      const Found one{static_cast<float>(rows_.scan_->dot(row, vector_, rows_.table_.dimension)), candidate.place};
      if (found.size() == best_ && !better(one, found.front())) continue;
      if (found.size() == best_) {
        std::pop_heap(found.begin(), found.end(), better);
        found.pop_back();
      }
      found.push_back(one);
      std::push_heap(found.begin(), found.end(), better);
    }
    std::sort(found.begin(), found.end(), better);
    for (size_t i = 0; i < best_; ++i) {
      places[i] = i < found.size() ? static_cast<int64_t>(found[i].place) : -1;
      similarities[i] = i < found.size() ? found[i].similarity : -std::numeric_limits<float>::infinity();
    }
  }

 private:
  // One more row surely reaches `low`. The best of these bounds make the limit.
  void reach_at_least(double low) {
    if (lows_.size() == best_) {
      if (low <= lows_.front()) return;
      std::pop_heap(lows_.begin(), lows_.end(), std::greater<>());
      lows_.back() = low;
    } else {
      lows_.push_back(low);
    }
    std::push_heap(lows_.begin(), lows_.end(), std::greater<>());
    if (lows_.size() == best_) limit = static_cast<float>(lows_.front() - slack_);
  }

  void drop_hopeless() {
    const auto hopeless = [this](const Found& one) { return !(one.similarity > limit); };
    candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), hopeless), candidates_.end());
  }

  const CodedRows& rows_;
  const float* vector_;
  size_t best_;
  const uint8_t* allowed_;
  std::vector<int8_t> own_codes_;
  double slack_ = 0.0, centre_dot_ = 0.0;
  const Block* block_ = nullptr;
  std::vector<Found> candidates_;  // their similarity is `high`
  size_t most_candidates_ = 1024;
  std::vector<double> lows_;  // a heap with the least on top
};

void CodedRows::search(const SearchRequest& request, int64_t* places, float* similarities) const {
  constexpr size_t kTogether = 64;  // queries that share what is read of the rows
  if (request.best == 0) return;
  const auto hit = [](ScanQuery& query, size_t group, const int32_t* dots) { static_cast<Query&>(query).keep(group, dots); };
  const auto look_into = [&](const Block& block, const std::vector<ScanQuery*>& queries) {
    for (ScanQuery* query : queries) static_cast<Query*>(query)->begin(block);
    const ScanRows rows{block.codes->data, block.scales.data(), block.errors.data(), block.groups(), chunks_};
    scan_->run(rows, queries.data(), queries.size(), hit);
  };
  const size_t together = request.blocks == nullptr ? kTogether : 1;
  for (size_t first = 0; first < request.count; first += together) {
    const size_t count = std::min(together, request.count - first);
    std::vector<std::unique_ptr<Query>> queries;
    std::vector<ScanQuery*> pointers;
    for (size_t i = 0; i < count; ++i) {
      queries.push_back(std::make_unique<Query>(*this, request.queries + (first + i) * table_.dimension, request.best, request.allowed));
      pointers.push_back(queries.back().get());
    }
    if (request.blocks == nullptr) {
      for (const auto& block : blocks_) look_into(*block, pointers);
    } else {
      for (size_t i = 0; i < request.blocks_each; ++i) {
        look_into(*blocks_[static_cast<size_t>(request.blocks[first * request.blocks_each + i])], pointers);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      queries[i]->finish(places + (first + i) * request.best, similarities + (first + i) * request.best);
    }
  }
}

}  // namespace edgevision
