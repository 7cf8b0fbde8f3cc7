// A pool of threads for work that takes microseconds: rows of frames.
#pragma once

#include <cstdint>
#include <functional>

namespace edgevision {

constexpr int32_t kMaxThreads = 64;

// Call work(0) … work(tasks - 1), each once, on this thread and up to `threads` - 1 of the pool. Returns when all are
// done. Where the pool is busy with another caller's work, this thread does its own alone: nobody waits for a thread.
// `work` may throw std::bad_alloc; it is thrown again here, after the rest was done.
void parallel_for(int32_t threads, int32_t tasks, const std::function<void(int32_t)>& work);

}  // namespace edgevision
