// What a producer's callers and its I/O thread share, under one lock.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>

#include "client/accumulator.hpp"
#include "client/dispatcher.hpp"
#include "client/producer.hpp"
#include "client/wakeup.hpp"

namespace lance::client {

struct producer_shared {
  explicit producer_shared(const producer_options& given)
      : options(given),
        gathered({given.batch_bytes,
                  static_cast<std::uint64_t>(std::chrono::nanoseconds{given.linger}.count()),
                  given.framing}),
        callbacks([this](batch_ptr batch) { release(std::move(batch)); }) {}

  const producer_options options;
  wakeup wake; ///< the I/O thread's

  std::mutex lock;
  std::condition_variable changed; ///< memory came back, a batch ended

  // Guarded by `lock`.
  accumulator gathered;
  std::uint64_t memory_used = 0;
  std::set<std::uint64_t> unfinished; ///< sequences of batches that have not had their end
  unsigned hurry = 0;           ///< who waits for open batches: flushes, senders without memory
  bool closed = false;          ///< no more records
  bool ending = false;          ///< the I/O thread gives up what is left and ends
  std::uint64_t look_at_ns = 0; ///< when the I/O thread looks at `gathered` unasked
  std::size_t payload_bytes_max = wire::payload_bytes_max; ///< what the server takes, once told
  std::optional<failure> first_failure;
  producer_stats stats;

  dispatcher callbacks; ///< last: its thread ends before the rest goes

  /// The batch's records have had their end: its memory is free. Takes the lock.
  void release(batch_ptr batch) {
    {
      const std::lock_guard guard{lock};
      release_locked(std::move(batch));
    }
    changed.notify_all();
  }
  void release_locked(batch_ptr batch) {
    memory_used -= batch->charge;
    unfinished.erase(batch->sequence);
    gathered.recycle(std::move(batch));
  }

  /// The I/O thread looks at `gathered` no later than at `when_ns`. Under the lock.
  void look_by(std::uint64_t when_ns) {
    if (when_ns >= look_at_ns)
      return;
    look_at_ns = when_ns;
    wake.wake();
  }
};

} // namespace lance::client
