// The scalar scan: one product after the other. The oracle of every other, and what any CPU can run.
#include "../generic/floats.h"
#include "../scan.h"

namespace edgevision {
namespace {

void run(const ScanRows& rows, ScanQuery* const* queries, size_t count,
         void (*hit)(ScanQuery& query, size_t group, const int32_t* dots)) {
  for (size_t group = 0; group < rows.groups; ++group) {
    const uint8_t* codes = rows.codes + group * rows.chunks * kGroupRows * kChunkBytes;
    for (size_t q = 0; q < count; ++q) {
      ScanQuery& query = *queries[q];
      int32_t dots[kGroupRows] = {};
      for (size_t chunk = 0; chunk < rows.chunks; ++chunk) {
        for (size_t row = 0; row < kGroupRows; ++row) {
          const uint8_t* four = codes + (chunk * kGroupRows + row) * kChunkBytes;
          for (size_t i = 0; i < kChunkBytes; ++i) dots[row] += (four[i] - 128) * query.codes[chunk * kChunkBytes + i];
        }
      }
      bool over = false;
      for (size_t row = 0; row < kGroupRows; ++row) {
        const size_t at = group * kGroupRows + row;
        const float dot = static_cast<float>(dots[row]) * (rows.scales[at] * query.scale);
        over |= dot + rows.errors[at] * query.norm > query.limit;
      }
      if (over) hit(query, group, dots);
    }
  }
}

}  // namespace

extern const Scan scalar_scan = {"scalar", run, FloatVectors<16>::quantise, FloatVectors<16>::dot};

}  // namespace edgevision
