#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace edgevision {
namespace {

// Waking a sleeping thread takes longer than preparing a small frame. So a thread that has just worked spins this long
// before it sleeps, in case the next frame comes at once.
constexpr std::chrono::microseconds kSpinTime{50};

constexpr int32_t kMaxSpins = 2000;  // while waiting for the others; then the core is yielded to them

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

class Pool {
 public:
  bool try_run(int32_t threads, int32_t tasks, const std::function<void(int32_t)>& work) {
    const std::unique_lock<std::mutex> caller(caller_, std::try_to_lock);
    if (!caller.owns_lock()) return false;
    // More threads than cores would only wait for each other.
    const auto cores = static_cast<int32_t>(std::max(std::thread::hardware_concurrency(), 1u));
    const int32_t helpers = start_workers(std::min({threads, tasks, cores, kMaxThreads}) - 1);
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      work_ = &work;
      tasks_ = tasks;
      next_ = 0;
      failed_ = false;
      open_places_ = helpers;
      generation_.fetch_add(1, std::memory_order_release);
    }
    for (int32_t i = 0; i < helpers; ++i) wake_.notify_one();  // not all: an earlier call may have had more
    take_tasks(work, tasks);
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      open_places_ = 0;  // all tasks are taken: a worker that has not begun need not begin
    }
    for (int32_t turn = 0; busy_.load(std::memory_order_acquire) != 0; ++turn) {
      if (turn < kMaxSpins) relax();
      else std::this_thread::yield();  // the late one may be waiting for this core
    }
    if (failed_) throw std::bad_alloc();
    return true;
  }

 private:
  // Starts workers until there are `wanted`. Returns how many there are to use: fewer if the system gives no more
  // threads.
  int32_t start_workers(int32_t wanted) {
    try {
      for (; workers_ < wanted; ++workers_) std::thread(&Pool::serve, this).detach();
    } catch (const std::system_error&) {
    }
    return std::min(wanted, workers_);
  }

  void take_tasks(const std::function<void(int32_t)>& work, int32_t tasks) {
    for (int32_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < tasks;) {
      try {
        work(i);
      } catch (...) {
        failed_ = true;
      }
    }
  }

  void serve() {
    uint64_t seen = 0;
    for (;;) {
      const auto until = std::chrono::steady_clock::now() + kSpinTime;
      while (generation_.load(std::memory_order_acquire) == seen && std::chrono::steady_clock::now() < until) relax();
      const std::function<void(int32_t)>* work = nullptr;
      int32_t tasks = 0;
      {
        std::unique_lock<std::mutex> guard(mutex_);
        wake_.wait(guard, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
        seen = generation_.load(std::memory_order_relaxed);
        if (open_places_ == 0) continue;
        --open_places_;
        busy_.fetch_add(1, std::memory_order_relaxed);
        work = work_;
        tasks = tasks_;
      }
      take_tasks(*work, tasks);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex caller_;  // held by the caller whose work is being done
  int32_t workers_ = 0;

  std::mutex mutex_;  // guards the members below, except the atomics
  std::condition_variable wake_;
  const std::function<void(int32_t)>* work_ = nullptr;
  int32_t tasks_ = 0, open_places_ = 0;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int32_t> next_{0}, busy_{0};
  std::atomic<bool> failed_{false};
};

// Never destroyed: its threads may outlive main. A forked child has none of them, and makes a pool of its own.
std::atomic<Pool*> the_pool{nullptr};

Pool& pool() {
  static const bool registered = [] {
    the_pool = new Pool;
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, [] { the_pool = new Pool; });
#endif
    return true;
  }();
  (void)registered;
  return *the_pool.load();
}

}  // namespace

void parallel_for(int32_t threads, int32_t tasks, const std::function<void(int32_t)>& work) {
  if (threads > 1 && tasks > 1 && pool().try_run(threads, tasks, work)) return;
  for (int32_t i = 0; i < tasks; ++i) work(i);
}

}  // namespace edgevision
