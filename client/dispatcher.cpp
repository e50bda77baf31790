#include "client/dispatcher.hpp"

namespace lance::client {

dispatcher::~dispatcher() {
  {
    const std::lock_guard guard{lock_};
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable())
    thread_.join();
}

void dispatcher::push(completed_batch done, std::uint64_t latency_ns) {
  {
    const std::lock_guard guard{lock_};
    jobs_.push_back({std::move(done), latency_ns});
    if (!thread_.joinable())
      thread_ = std::thread{[this] { run(); }};
  }
  changed_.notify_one();
}

bool dispatcher::is_this_thread() const {
  const std::lock_guard guard{lock_};
  return thread_.get_id() == std::this_thread::get_id();
}

void dispatcher::run() {
  std::unique_lock guard{lock_};
  while (true) {
    changed_.wait(guard, [this] { return ending_ || !jobs_.empty(); });
    if (jobs_.empty())
      return;
    auto work = std::move(jobs_.front());
    jobs_.pop_front();
    guard.unlock();
    carry_out(std::move(work));
    guard.lock();
  }
}

void dispatcher::carry_out(job work) {
  const delivery told{work.done.fate, work.done.batch->topic->name, work.latency_ns,
                      std::move(work.done.problem)};
  for (const auto& callback : work.done.batch->callbacks)
    callback(told);
  finish_(std::move(work.done.batch));
}

} // namespace lance::client
