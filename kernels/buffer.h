// A Python object's memory, for as long as this lives: the buffer protocol, with strides.
#pragma once

#include <Python.h>

#include <string>

#include "plan.h"

namespace edgevision {

class Buffer {
 public:
  enum class Access { read, write };

  // Throws InvalidArgument, which begins with `what`, where the object has no memory of that kind.
  Buffer(PyObject* object, Access access, const std::string& what) {
    const int flags = access == Access::write ? PyBUF_RECORDS : PyBUF_RECORDS_RO;  // strides, format
    if (PyObject_GetBuffer(object, &view_, flags) == 0) return;
    PyErr_Clear();
    const bool readable = access == Access::write && PyObject_GetBuffer(object, &view_, PyBUF_RECORDS_RO) == 0;
    if (readable) PyBuffer_Release(&view_);
    throw InvalidArgument(what + ", got " + (readable ? "a read-only one" : Py_TYPE(object)->tp_name));
  }
  ~Buffer() {
    if (view_.obj != nullptr) PyBuffer_Release(&view_);
  }
  Buffer(Buffer&& other) noexcept : view_(other.view_) { other.view_.obj = nullptr; }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer& operator=(Buffer&&) = delete;

  void* data() const { return view_.buf; }
  int dimensions() const { return view_.ndim; }
  int64_t size(int axis) const { return view_.shape[axis]; }
  int64_t stride(int axis) const { return view_.strides[axis]; }  // bytes
  // Code of the elements in the struct module. NumPy writes that of memory which is not aligned with "=".
  std::string format() const {
    const std::string code = view_.format == nullptr ? "B" : view_.format;
    return code.size() > 1 && (code[0] == '=' || code[0] == '@') ? code.substr(1) : code;
  }

  // Elements and shape, in NumPy's words where the owner has them.
  std::string description() const {
    std::string elements = "elements of format '" + format() + "'";
    if (PyObject* dtype = PyObject_GetAttrString(view_.obj, "dtype")) {
      if (PyObject* name = PyObject_Str(dtype)) {
        if (const char* text = PyUnicode_AsUTF8(name)) elements = text;
        Py_DECREF(name);
      }
      Py_DECREF(dtype);
    }
    PyErr_Clear();
    return elements + " " + shape_text();
  }

  std::string shape_text() const {
    std::string text = "(";
    for (int i = 0; i < view_.ndim; ++i) text += (i ? ", " : "") + std::to_string(view_.shape[i]);
    return text + (view_.ndim == 1 ? ",)" : ")");
  }
  std::string strides_text() const {
    std::string text = "(";
    for (int i = 0; i < view_.ndim; ++i) text += (i ? ", " : "") + std::to_string(view_.strides[i]);
    return text + (view_.ndim == 1 ? ",)" : ")");
  }

 private:
  Py_buffer view_{};
};

}  // namespace edgevision
