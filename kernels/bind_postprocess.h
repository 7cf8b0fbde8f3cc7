#pragma once

#include <nanobind/nanobind.h>

namespace edgevision {

void bind_postprocess(nanobind::module_& m);  // adds nms, softmax and top_k

}  // namespace edgevision
