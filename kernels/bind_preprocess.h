// Parts of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace edgevision {

void bind_preprocess(nanobind::module_& m);

}  // namespace edgevision
