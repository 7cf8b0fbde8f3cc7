// Plans in Python. Everything that memory safety depends on is checked here. edgevision/preprocess/plan.py fills in
// what a Frame says of itself.
#include "bind_preprocess.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <tuple>
#include <utility>

#include "buffer.h"
#include "gil.h"
#include "plan.h"
#include "threads.h"

namespace nb = nanobind;

namespace edgevision {
namespace {

// The values of the Python enums, in the order of ours.
template <typename T, size_t N>
T named(const char* what, const std::string& name, const std::array<const char*, N>& names) {
  for (size_t i = 0; i < N; ++i) {
    if (name == names[i]) return static_cast<T>(i);
  }
  throw InvalidArgument(std::string("unknown ") + what + " '" + name + "'");
}

constexpr std::array<const char*, 2> kFilters = {"bilinear", "triangle"};
constexpr std::array<const char*, 3> kColors = {"rgb", "bgr", "gray"};
constexpr std::array<const char*, 2> kLayouts = {"nchw", "nhwc"};
constexpr std::array<const char*, 4> kDtypes = {"float32", "float16", "uint8", "int8"};
constexpr std::array<const char*, 4> kDtypeCodes = {"f", "e", "B", "b"};  // of the struct module
constexpr std::array<const char*, 7> kFormats = {"bgr", "rgb", "bgra", "gray", "nv12", "i420", "yuyv"};
constexpr std::array<const char*, 4> kEncodings = {"bt601-limited", "bt601-full", "bt709-limited", "bt709-full"};

Plan* make_plan(const std::array<int32_t, 2>& size, const std::array<int64_t, 4>& placement,
                const std::string& filter, const std::string& color, const std::vector<double>& mean,
                const std::vector<double>& std, double pad_value, const std::string& layout,
                const std::string& dtype, const std::array<int32_t, 2>& frame, const std::string& format,
                const std::string& encoding, const std::array<int32_t, 4>& region, const std::string& loops_name) {
  Spec spec{};
  spec.height = size[0];
  spec.width = size[1];
  spec.filter = named<Filter>("filter", filter, kFilters);
  spec.color = named<Color>("color", color, kColors);
  const auto count = static_cast<size_t>(channels(spec.color));
  if (mean.size() != count || std.size() != count) {
    throw InvalidArgument("expected a mean and a std for each of " + std::to_string(count) + " channels, got " +
                          std::to_string(mean.size()) + " and " + std::to_string(std.size()));
  }
  std::copy(mean.begin(), mean.end(), spec.mean);
  std::copy(std.begin(), std.end(), spec.std);
  spec.pad_value = pad_value;
  spec.layout = named<Layout>("layout", layout, kLayouts);
  spec.dtype = named<Dtype>("dtype", dtype, kDtypes);
  const Source source = {frame[0], frame[1], named<Format>("format", format, kFormats),
                         named<Encoding>("encoding", encoding, kEncodings), region[0], region[1], region[2], region[3]};
  const Loops* loops = loops_name.empty() ? available_loops().front() : find_loops(loops_name);
  if (loops == nullptr) throw InvalidArgument("no loops named '" + loops_name + "' for this CPU");
  return new Plan(spec, source, {placement[0], placement[1], placement[2], placement[3]}, *loops);
}

// Shape of a plane as NumPy sees it.
std::vector<int64_t> expected_plane(const Source& s, int32_t index) {
  const int64_t h = s.height, w = s.width;
  switch (s.format) {
    case Format::bgr:
    case Format::rgb: return {h, w, 3};
    case Format::bgra: return {h, w, 4};
    case Format::yuyv: return {h, w, 2};
    case Format::gray: return {h, w};
    case Format::nv12: return index == 0 ? std::vector<int64_t>{h, w} : std::vector<int64_t>{h / 2, w / 2, 2};
    case Format::i420: return index == 0 ? std::vector<int64_t>{h, w} : std::vector<int64_t>{h / 2, w / 2};
  }
  return {};
}

std::string text(const std::vector<int64_t>& shape) {
  std::string result = "(";
  for (size_t i = 0; i < shape.size(); ++i) result += (i ? ", " : "") + std::to_string(shape[i]);
  return result + ")";
}

// Holds the memory of one item of a batch, and checks that it is the tensor that the plan writes.
class OutBuffer {
 public:
  OutBuffer(const Plan& plan, nb::handle object) : buffer_(object.ptr(), Buffer::Access::write, expected(plan.spec())) {
    const Spec& spec = plan.spec();
    const std::vector<int64_t> shape = tensor_shape(spec);
    const std::string what = expected(spec);
    if (buffer_.format() != kDtypeCodes[static_cast<size_t>(spec.dtype)]) {
      throw InvalidArgument(what + ", got " + buffer_.description());
    }
    bool same = buffer_.dimensions() == 3;
    for (int i = 0; same && i < 3; ++i) same = buffer_.size(i) == shape[static_cast<size_t>(i)];
    if (!same) throw InvalidArgument(what + ", got " + buffer_.description());
    int64_t packed = spec.dtype == Dtype::float32 ? 4 : spec.dtype == Dtype::float16 ? 2 : 1;
    if (reinterpret_cast<uintptr_t>(buffer_.data()) % static_cast<uintptr_t>(packed) != 0) {
      throw InvalidArgument(what + ", got one whose elements are not aligned");
    }
    for (int axis = 2; axis >= 0; --axis) {
      if (buffer_.size(axis) > 1 && buffer_.stride(axis) != packed) {
        throw InvalidArgument(what + ", got strides " + buffer_.strides_text());
      }
      packed *= buffer_.size(axis);
    }
  }

  void* data() const { return buffer_.data(); }

 private:
  static std::vector<int64_t> tensor_shape(const Spec& spec) {
    const int64_t c = channels(spec.color), h = spec.height, w = spec.width;
    return spec.layout == Layout::nchw ? std::vector<int64_t>{c, h, w} : std::vector<int64_t>{h, w, c};
  }
  static std::string expected(const Spec& spec) {
    return std::string("out: expected a writable C-contiguous ") + kDtypes[static_cast<size_t>(spec.dtype)] +
           " array of " + text(tensor_shape(spec));
  }

  Buffer buffer_;
};

// One frame and the item of a batch that it becomes. Holds the memory of both.
class Task {
 public:
  Task(const Plan& plan, nb::handle planes, nb::handle out, int64_t prepared)
      : plan_(&plan), out_(plan, out), padded_(prepared != 0) {
    const Source& source = plan.source();
    const int32_t count = plane_count(source.format);
    if (!nb::isinstance<nb::tuple>(planes) || static_cast<int32_t>(nb::len(planes)) != count) {
      throw InvalidArgument("expected a tuple of " + std::to_string(count) + " planes");
    }
    buffers_.reserve(static_cast<size_t>(count));
    for (int32_t p = 0; p < count; ++p) add_plane(p, nb::cast<nb::tuple>(planes)[static_cast<size_t>(p)]);
    if (padded_ && prepared != reinterpret_cast<int64_t>(out_.data())) {
      throw InvalidArgument("out: expected the memory that was prepared, got another; prepare this one");
    }
  }

  const Plan& plan() const { return *plan_; }
  void run_rows(int32_t begin, int32_t end) const { plan_->run_rows(planes_, out_.data(), padded_, begin, end); }

 private:
  void add_plane(int32_t index, nb::handle object) {
    const std::vector<int64_t> shape = expected_plane(plan_->source(), index);
    const std::string what = "plane " + std::to_string(index) + ": expected a uint8 array of " + text(shape);
    const Buffer& b = buffers_.emplace_back(object.ptr(), Buffer::Access::read, what);
    if (b.format() != "B") throw InvalidArgument(what + ", got " + b.description());
    bool same = b.dimensions() == static_cast<int>(shape.size());
    for (size_t i = 0; same && i < shape.size(); ++i) same = b.size(static_cast<int>(i)) == shape[i];
    if (!same) throw InvalidArgument(what + ", got " + b.description());
    int64_t packed = 1;  // rows may lie anywhere, the samples of a row must lie side by side
    for (int axis = static_cast<int>(shape.size()) - 1; axis > 0; --axis) {
      if (b.size(axis) > 1 && b.stride(axis) != packed) {
        throw InvalidArgument(what + " whose rows are packed, got strides " + b.strides_text() +
                              "; make it contiguous with np.ascontiguousarray");
      }
      packed *= b.size(axis);
    }
    planes_.data[index] = static_cast<const uint8_t*>(b.data());
    planes_.pitch[index] = b.size(0) > 1 ? b.stride(0) : packed;
  }

  const Plan* plan_;
  std::vector<Buffer> buffers_;  // of the planes
  Planes planes_{};
  OutBuffer out_;
  bool padded_;
};

int32_t checked_threads(int32_t threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw InvalidArgument("expected 1…" + std::to_string(kMaxThreads) + " threads, got " + std::to_string(threads));
  }
  return threads;
}

// Rows of a task that one thread takes at a time. There are enough chunks that a late thread delays nobody, and each is
// large enough to be worth handing over.
int32_t chunk_rows(const Plan& plan, int32_t threads, size_t tasks) {
  const int32_t height = plan.spec().height;
  if (threads == 1 || tasks >= 4 * static_cast<size_t>(threads)) return height;
  return std::max(height / (4 * threads), 16);
}

void run(const std::vector<Task>& tasks, int32_t threads) {
  struct Chunk {
    const Task* task;
    int32_t begin, end;
  };
  const GilReleased released;
  if (threads == 1) {
    for (const Task& task : tasks) task.run_rows(0, task.plan().spec().height);
    return;
  }
  std::vector<Chunk> chunks;
  for (const Task& task : tasks) {
    const int32_t height = task.plan().spec().height, step = chunk_rows(task.plan(), threads, tasks.size());
    for (int32_t row = 0; row < height; row += step) chunks.push_back({&task, row, std::min(row + step, height)});
  }
  parallel_for(threads, static_cast<int32_t>(chunks.size()), [&](int32_t i) {
    const Chunk& chunk = chunks[static_cast<size_t>(i)];
    chunk.task->run_rows(chunk.begin, chunk.end);
  });
}

// The tables of an axis as they lie in memory: int32, float32, native byte order.
nb::dict axis_tables(const Axis& axis) {
  const auto bytes = [](const void* data, size_t size) { return nb::bytes(static_cast<const char*>(data), size); };
  const auto count = static_cast<size_t>(axis.count), stride = static_cast<size_t>(axis.stride);
  nb::dict tables;
  tables["first"] = bytes(axis.first, count * sizeof(int32_t));
  tables["weight"] = bytes(axis.weight, count * stride * sizeof(float));
  tables["taps"] = axis.taps;
  tables["stride"] = axis.stride;
  tables["knot"] = axis.knot == nullptr ? bytes(nullptr, 0)
                                        : bytes(axis.knot, (static_cast<size_t>(axis.pieces) + 1) * sizeof(int32_t));
  tables["pieces"] = axis.pieces;
  tables["low"] = axis.low;
  tables["high"] = axis.high;
  return tables;
}

}  // namespace

void bind_preprocess(nb::module_& m) {
  using namespace nb::literals;
  // InvalidArgument becomes edgevision.errors.InputError.
  static PyObject* const input_error = nb::module_::import_("edgevision.errors").attr("InputError").inc_ref().ptr();
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const InvalidArgument& error) {
      PyErr_SetString(input_error, error.what());
    }
  });

  m.def(
      "available_loops",
      [] {
        std::vector<std::string> names;
        for (const Loops* loops : available_loops()) names.emplace_back(loops->name);
        return names;
      },
      "Names of the loops that this CPU can run, fastest first; the last is the scalar one.");

  nb::class_<Plan>(m, "Plan", "A plan of kernels/plan.h; edgevision.preprocess.Plan is how to use it.")
      .def(nb::new_(&make_plan), nb::kw_only(), "size"_a, "placement"_a, "filter"_a, "color"_a, "mean"_a,
           "std"_a, "pad_value"_a, "layout"_a, "dtype"_a, "frame"_a, "format"_a, "encoding"_a,
           "region"_a, "loops"_a = "")
      .def(
          "run",
          [](const Plan& plan, nb::handle planes, nb::handle out, int64_t prepared, int32_t threads) {
            std::vector<Task> tasks;
            tasks.emplace_back(plan, planes, out, prepared);
            run(tasks, checked_threads(threads));
          },
          "planes"_a.none(), "out"_a.none(), "prepared"_a = 0, "threads"_a = 1,
          "Prepare a frame's planes into `out`. `prepared`: what `prepare` gave for this `out`, or 0.")
      .def(
          "prepare",
          [](const Plan& plan, nb::handle out) {
            const OutBuffer target(plan, out);
            plan.write_pad(target.data(), 0, plan.spec().height);
            return reinterpret_cast<int64_t>(target.data());
          },
          "out"_a.none(), "Write the pad into `out`, and give its address.")
      .def_prop_ro("loops", [](const Plan& plan) { return std::string(plan.loops().name); })
      .def_prop_ro("rows", [](const Plan& plan) { return axis_tables(plan.job().rows); })
      .def_prop_ro("columns", [](const Plan& plan) { return axis_tables(plan.job().columns); });

  m.def(
      "run_batch",
      [](const std::vector<std::tuple<nb::object, nb::object, nb::object, int64_t>>& items, int32_t threads) {
        std::vector<Task> tasks;
        tasks.reserve(items.size());
        for (const auto& [plan, planes, out, prepared] : items) {
          if (!nb::isinstance<Plan>(plan)) {
            throw InvalidArgument(std::string("items: expected a Plan first in each, got ") + Py_TYPE(plan.ptr())->tp_name);
          }
          tasks.emplace_back(*nb::cast<const Plan*>(plan), planes, out, prepared);
        }
        run(tasks, checked_threads(threads));
      },
      "items"_a, "threads"_a = 1, "Run many: (plan, planes, out, prepared) each. Outputs must not overlap.");
}

}  // namespace edgevision
