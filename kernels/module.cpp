// edgevision._native: what Python is too slow for, or cannot see.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind_cuda.h"
#include "bind_decode.h"
#include "bind_postprocess.h"
#include "bind_preprocess.h"
#include "bind_search.h"
#include "cpu_features.h"

NB_MODULE(_native, m) {
#if defined(NDEBUG)
  nanobind::set_leak_warnings(false);  // a daemon thread keeps its plan when the interpreter ends, which is no leak
#endif
  m.doc() = "Native part of EdgeVision";
  m.attr("__version__") = EDGEVISION_VERSION;
  m.def("cpu_features", &edgevision::cpu_features,
        "Instruction sets of this CPU that matter for int8 and preprocessing, sorted names.");
  edgevision::bind_postprocess(m);
  edgevision::bind_preprocess(m);
  edgevision::bind_cuda(m);
  edgevision::bind_decode(m);
  edgevision::bind_search(m);
}
