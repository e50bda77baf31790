// Runs delivery callbacks on a thread of their own, started with the first batch that has any, so
// that a slow callback holds up neither the network nor who sends. Batches are bounded by the
// memory of the producer, which they keep until their callbacks have run.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "client/outgoing_batch.hpp"

namespace lance::client {

class dispatcher {
 public:
  /// `finish` is called on the dispatcher's thread with each batch whose callbacks have run.
  explicit dispatcher(std::function<void(batch_ptr)> finish) : finish_(std::move(finish)) {}
  /// Runs what was given, then ends. Not on the dispatcher's own thread.
  ~dispatcher();
  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;

  /// Any thread. `latency_ns` is told to the callbacks.
  void push(completed_batch done, std::uint64_t latency_ns);
  /// Whether the caller is a callback.
  [[nodiscard]] bool is_this_thread() const;

 private:
  struct job {
    completed_batch done;
    std::uint64_t latency_ns = 0;
  };

  void run();
  void carry_out(job work);

  std::function<void(batch_ptr)> finish_;
  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::deque<job> jobs_;
  bool ending_ = false;
  std::thread thread_;
};

} // namespace lance::client
