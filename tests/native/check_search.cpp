// Checks the search of every scan of this CPU against looking at every row, over random tables: clusters, equal rows, rows that
// differ by less than an int8 copy shows, zeros, masks, blocks, tables that grew. Needs no Python, so that it runs under an
// emulator, a sanitizer, or on a board.
//
//   check_search TABLES [SEED]    compares; exit status 1 on the first difference
//   check_search digest TABLES    prints a digest of what the scalar scan finds: the same on every machine
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "random_plan.h"
#include "search.h"

namespace {

using namespace edgevision;

struct Table {
  size_t rows, dimension, count, best;
  std::vector<float> data, centre, queries;
  std::vector<uint8_t> allowed;  // empty: all
  std::vector<size_t> offsets;
  std::vector<int64_t> places;
  size_t before;  // rows that it had before it grew
};

float part(Random& random) { return static_cast<float>(random.whole(-1000, 1000)) / 1000.0f; }

Table random_table(Random& random) {
  Table table{};
  table.rows = static_cast<size_t>(random.whole(1, 300));
  table.dimension = static_cast<size_t>(random.whole(1, 90));
  table.count = static_cast<size_t>(random.whole(1, 11));
  const int32_t kind = random.whole(0, 3);
  const float spread = kind == 0 ? 1.0f : kind == 1 ? 0.05f : kind == 2 ? 1e-4f : 0.0f;  // around one of a few rows
  std::vector<std::vector<float>> middles(static_cast<size_t>(random.whole(1, 8)), std::vector<float>(table.dimension));
  for (auto& middle : middles) {
    for (float& number : middle) number = part(random);
  }
  const auto row = [&](std::vector<float>& out) {
    const auto& middle = middles[static_cast<size_t>(random.whole(0, static_cast<int32_t>(middles.size()) - 1))];
    const bool zero = random.whole(0, 49) == 0;
    for (size_t i = 0; i < table.dimension; ++i) out.push_back(zero ? 0.0f : middle[i] + spread * part(random));
  };
  for (size_t i = 0; i < table.rows; ++i) row(table.data);
  for (size_t i = 0; i < table.count; ++i) row(table.queries);
  table.centre.assign(table.dimension, 0.0f);
  if (random.whole(0, 1) == 1) {
    for (size_t i = 0; i < table.rows * table.dimension; ++i) {
      table.centre[i % table.dimension] += table.data[i] / static_cast<float>(table.rows);
    }
  }
  size_t allowed = table.rows;
  if (random.whole(0, 2) == 0) {
    for (size_t i = 0; i < table.rows; ++i) table.allowed.push_back(random.whole(0, 4) == 0);
    allowed = static_cast<size_t>(std::count(table.allowed.begin(), table.allowed.end(), 1));
  }
  table.best = std::min(allowed, static_cast<size_t>(random.whole(1, random.whole(0, 4) == 0 ? 300 : 8)));
  table.before = static_cast<size_t>(random.whole(0, static_cast<int32_t>(table.rows)));
  table.offsets = {0};
  while (table.offsets.back() < table.before) {
    table.offsets.push_back(std::min(table.before, table.offsets.back() + static_cast<size_t>(random.whole(1, 150))));
  }
  for (size_t i = 0; i < table.before; ++i) table.places.push_back(static_cast<int64_t>(i));
  for (size_t i = table.before; i > 1; --i) {
    std::swap(table.places[i - 1], table.places[static_cast<size_t>(random.whole(0, static_cast<int32_t>(i) - 1))]);
  }
  return table;
}

struct Answer {
  std::vector<int64_t> places;
  std::vector<float> similarities;
  bool operator==(const Answer& other) const {
    return places == other.places && (similarities.empty() || std::memcmp(similarities.data(), other.similarities.data(), 4 * similarities.size()) == 0);
  }
};

Answer by_looking(const Table& table) {
  Answer answer;
  for (size_t q = 0; q < table.count; ++q) {
    std::vector<std::pair<float, int64_t>> all;  // -similarity: sorts as wanted
    for (size_t i = 0; i < table.rows; ++i) {
      if (!table.allowed.empty() && table.allowed[i] == 0) continue;
      const float* row = table.data.data() + i * table.dimension;
      const float* query = table.queries.data() + q * table.dimension;
      long double sum = 0.0L;
      for (size_t j = 0; j < table.dimension; ++j) sum += static_cast<long double>(row[j]) * static_cast<long double>(query[j]);
      const float like = similarity(row, query, table.dimension);
      if (std::fabs(static_cast<double>(sum) - static_cast<double>(like)) > 1e-7 * (1.0 + std::fabs(static_cast<double>(sum)))) return {};
      all.emplace_back(-like, static_cast<int64_t>(i));
    }
    std::sort(all.begin(), all.end());
    for (size_t i = 0; i < table.best; ++i) {
      answer.places.push_back(all[i].second);
      answer.similarities.push_back(-all[i].first);
    }
  }
  return answer;
}

Answer by_search(const Table& table, const Scan& scan, Random& random) {
  const FloatRows before{table.data.data(), table.before, table.dimension}, after{table.data.data(), table.rows, table.dimension};
  const CodedRows old(before, table.centre.data(), table.offsets, table.places.data(), scan);
  std::vector<int64_t> blocks;
  auto next = static_cast<int32_t>(old.blocks());
  for (size_t i = table.before; i < table.rows; ++i) {
    blocks.push_back(random.whole(std::max(0, next - 2), next));
    if (blocks.back() == next) ++next;
  }
  const CodedRows rows(old, after, blocks.data());
  std::vector<int64_t> every;
  for (size_t q = 0; q < table.count; ++q) {
    for (size_t block = rows.blocks(); block > 0; --block) every.push_back(static_cast<int64_t>(block) - 1);
  }
  SearchRequest request{table.queries.data(), table.count, table.best, nullptr, nullptr, rows.blocks()};
  if (!table.allowed.empty()) request.allowed = table.allowed.data();
  if (random.whole(0, 1) == 1) request.blocks = every.data();
  Answer answer{std::vector<int64_t>(table.count * table.best), std::vector<float>(table.count * table.best)};
  rows.search(request, answer.places.data(), answer.similarities.data());
  return answer;
}

int compare(int32_t tables, uint64_t seed) {
  for (int32_t i = 0; i < tables; ++i) {
    Random random(seed * 1000003u + static_cast<uint64_t>(i));
    const Table table = random_table(random);
    const Answer expected = by_looking(table);
    for (const Scan* scan : available_scans()) {
      if (expected.places.size() == table.count * table.best && by_search(table, *scan, random) == expected) continue;
      std::fprintf(stderr, "table %d of seed %llu: %s differs: %zu × %zu, %zu queries, %zu best\n", i,
                   static_cast<unsigned long long>(seed), scan->name, table.rows, table.dimension, table.count, table.best);
      return 1;
    }
  }
  std::printf("%d tables, scans", tables);
  for (const Scan* scan : available_scans()) std::printf(" %s", scan->name);
  std::printf(": equal\n");
  return 0;
}

int digest(int32_t tables) {
  uint64_t hash = 1469598103934665603u;  // FNV-1a
  const auto add = [&](const void* data, size_t size) {
    for (size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 1099511628211u;
  };
  for (int32_t i = 0; i < tables; ++i) {
    Random random(static_cast<uint64_t>(i));
    const Table table = random_table(random);
    const Answer answer = by_search(table, *find_scan("scalar"), random);
    add(answer.places.data(), answer.places.size() * sizeof(int64_t));
    add(answer.similarities.data(), answer.similarities.size() * sizeof(float));
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(hash));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "digest") == 0) return digest(std::atoi(argv[2]));
  if (argc < 2) return 2;
  return compare(std::atoi(argv[1]), argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
}
