// Scratch memory of a plan. A run takes one workspace and puts it back, so that a run allocates only if more threads
// run the plan at once than ever before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace edgevision {

class WorkspacePool {
 public:
  // One workspace of `bytes` is made at once, more as threads need them.
  void reserve(size_t bytes) {
    bytes_ = bytes;
    free_.clear();
    free_.reserve(64);
    free_.push_back(make());
  }

  // Puts the workspace back when it goes out of scope.
  class Lease {
   public:
    explicit Lease(WorkspacePool& pool) : pool_(pool), memory_(pool.take()) {}
    ~Lease() { pool_.put(std::move(memory_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    uint8_t* data() const {  // aligned to 64 bytes
      return memory_.get() + (-reinterpret_cast<uintptr_t>(memory_.get()) & 63u);
    }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<uint8_t[]> memory_;
  };

 private:
  // Zeroed: vectors read past what was written and multiply it by zero, which has to give zero, not NaN.
  std::unique_ptr<uint8_t[]> make() const { return std::make_unique<uint8_t[]>(bytes_ + 64); }

  std::unique_ptr<uint8_t[]> take() {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<uint8_t[]> memory = std::move(free_.back());
        free_.pop_back();
        return memory;
      }
    }
    return make();
  }

  void put(std::unique_ptr<uint8_t[]> memory) {
    const std::lock_guard<std::mutex> guard(mutex_);
    free_.push_back(std::move(memory));
  }

  size_t bytes_ = 0;
  std::mutex mutex_;
  std::vector<std::unique_ptr<uint8_t[]>> free_;
};

}  // namespace edgevision
