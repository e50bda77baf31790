// One helper thread for system calls that block, where no ring does them: files in the fallback.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace lance::runtime {

/// A blocking deed and what follows. Kept by its owner until finish() was called.
class blocking_job {
 public:
  virtual void run() = 0;    ///< on the helper thread; may block
  virtual void finish() = 0; ///< on the thread that calls blocking_thread::deliver()

  blocking_job* next = nullptr; ///< the queue's, while the job is in it

 protected:
  ~blocking_job() = default;
};

/// Where blocking deeds go: the helper thread, or a simulated one.
class job_runner {
 public:
  /// Jobs are run one after the other in the order given.
  virtual void submit(blocking_job& job) = 0;

 protected:
  ~job_runner() = default;
};

/// Runs jobs one after the other in the order given. The queue is intrusive: its bound is the
/// number of jobs that exist (each log and each read slot owns exactly one or two).
class blocking_thread final : public job_runner {
 public:
  /// `waker` is called on the helper thread whenever a job is ready for deliver().
  blocking_thread(void (*waker)(void*), void* context);
  /// Finishes what was submitted (without finish()), then joins.
  ~blocking_thread();

  void submit(blocking_job& job) override;
  /// Calls finish() of all done jobs, on the caller's thread; true if there were any.
  bool deliver();
  [[nodiscard]] bool ready() const noexcept {
    return done_.load(std::memory_order_acquire) != nullptr;
  }

 private:
  void loop();

  void (*waker_)(void*);
  void* context_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  blocking_job* first_ = nullptr;
  blocking_job* last_ = nullptr;
  bool stop_ = false;
  std::atomic<blocking_job*> done_{nullptr};
  std::thread thread_;
};

} // namespace lance::runtime
