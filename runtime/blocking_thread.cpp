#include "runtime/blocking_thread.hpp"

#include <pthread.h>

namespace lance::runtime {

blocking_thread::blocking_thread(void (*waker)(void*), void* context)
    : waker_(waker), context_(context), thread_([this] { loop(); }) {}

blocking_thread::~blocking_thread() {
  {
    const std::lock_guard hold{mutex_};
    stop_ = true;
  }
  wanted_.notify_one();
  thread_.join();
}

void blocking_thread::submit(blocking_job& job) {
  {
    const std::lock_guard hold{mutex_};
    job.next = nullptr;
    if (last_ != nullptr)
      last_->next = &job;
    else
      first_ = &job;
    last_ = &job;
  }
  wanted_.notify_one();
}

bool blocking_thread::deliver() {
  auto* newest = done_.exchange(nullptr, std::memory_order_acquire);
  blocking_job* oldest = nullptr;
  while (newest != nullptr) { // done in stack order; finished in the order they were run
    auto* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  const bool any = oldest != nullptr;
  while (oldest != nullptr) {
    auto* next = oldest->next; // finish() may submit the job again
    oldest->finish();
    oldest = next;
  }
  return any;
}

void blocking_thread::loop() {
  ::pthread_setname_np(::pthread_self(), "lance-blocking");
  std::unique_lock hold{mutex_};
  for (;;) {
    wanted_.wait(hold, [this] { return first_ != nullptr || stop_; });
    auto* job = first_;
    if (job == nullptr)
      return;
    first_ = job->next;
    if (first_ == nullptr)
      last_ = nullptr;
    hold.unlock();
    job->run();
    auto* head = done_.load(std::memory_order_relaxed);
    do {
      job->next = head;
    } while (!done_.compare_exchange_weak(head, job, std::memory_order_release,
                                          std::memory_order_relaxed));
    waker_(context_);
    hold.lock();
  }
}

} // namespace lance::runtime
