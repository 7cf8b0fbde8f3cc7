#pragma once

#include <nanobind/nanobind.h>

namespace edgevision {

void bind_search(nanobind::module_& m);  // adds CodedRows and available_scans

}  // namespace edgevision
