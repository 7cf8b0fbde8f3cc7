// Python's lock, given up while this lives.
#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

namespace edgevision {

class GilReleased {
 public:
  GilReleased() : state_(PyEval_SaveThread()) {}
  // A daemon thread may want the lock back when the interpreter is gone. Python before 3.14 then ends the thread by
  // unwinding its stack, which C++ answers by ending the process. So such a thread stays here, as it does from 3.14 on.
  ~GilReleased() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace edgevision
