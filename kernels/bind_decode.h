#pragma once

#include <nanobind/nanobind.h>

namespace edgevision {

void bind_decode(nanobind::module_& m);  // adds scan_jpeg

}  // namespace edgevision
