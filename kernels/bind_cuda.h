// Parts of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace edgevision {

void bind_cuda(nanobind::module_& m);

}  // namespace edgevision
