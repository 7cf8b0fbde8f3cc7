// edgevision._native: scan_jpeg. Its caller is edgevision/decode/jpeg.py.

#include "bind_decode.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <string>
#include <tuple>

#include "gil.h"
#include "jpeg_scan.h"

namespace nb = nanobind;

namespace edgevision {
namespace {

std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t> scan(const nb::bytes& data) {
  JpegScan result;
  {
    const GilReleased released;
    result = scan_jpeg(static_cast<const std::uint8_t*>(data.data()), data.size());
  }
  const char* names[] = {"whole", "cut", "damaged", "unknown"};
  return {names[static_cast<int>(result.verdict)], result.read, result.total, result.across};
}

}  // namespace

void bind_decode(nb::module_& m) {
  m.def("scan_jpeg", &scan, nb::arg("data"),
        "Verdict, MCUs read, MCUs of the picture, MCUs of a row of a baseline JPEG's entropy-coded data.");
}

}  // namespace edgevision
