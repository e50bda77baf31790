// A consumer that nobody waits for: each request is answered by a callback or a future. Requests
// are answered in order, one after the other; a thread of its own reads, another runs the
// callbacks, so that a callback that takes its time holds up no reading.
//
// Any thread may ask. Callbacks may ask, too; they do not throw.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "client/consumer.hpp"

namespace lance::client {

/// A record that owns its bytes.
struct owned_record {
  std::vector<std::byte> value;
  std::optional<std::vector<std::byte>> key;
  byte_offset offset; ///< of its first byte, framing included
  std::optional<record_number> number;
  std::uint64_t time_ns = 0;
  std::uint8_t type = record_type::value;
};

/// Records in order, none when there was nothing in time; or what poll() failed with. After a
/// retriable failure the next request goes on where this one stood.
using records_outcome = outcome<std::vector<owned_record>>;
using records_callback = std::function<void(records_outcome)>;

class async_consumer {
 public:
  /// Requests that are not answered or whose callback has not run: each may hold a fetch's bytes.
  static constexpr std::size_t requests_max = 64;

  /// Takes over a consumer that has subscribed.
  explicit async_consumer(std::unique_ptr<consumer> from);
  /// Answers what waits with `closed` and runs its callbacks. Not in a callback. Blocks for a
  /// request under way: connecting (connect_timeout), or a quarter of a second.
  ~async_consumer();
  async_consumer(const async_consumer&) = delete;
  async_consumer& operator=(const async_consumer&) = delete;

  /// Up to `max_records` (1 at least), as soon as there are any, or none at `until`. Never blocks.
  /// Errors: exhausted (requests_max), invalid_request; then the callback is not kept.
  [[nodiscard]] outcome<> next(std::size_t max_records, deadline until, records_callback told);
  [[nodiscard]] outcome<std::future<records_outcome>> next_with_future(std::size_t max_records,
                                                                       deadline until);

 private:
  struct request {
    std::size_t max_records;
    deadline until;
    records_callback told;
  };
  struct answer {
    records_callback told;
    records_outcome what;
  };

  void read();
  void tell();
  [[nodiscard]] records_outcome carry_out(const request& asked);
  [[nodiscard]] bool ending() const;

  std::unique_ptr<consumer> consumer_; ///< the reading thread's
  mutable std::mutex lock_;
  std::condition_variable asked_;
  std::condition_variable answered_;
  std::deque<request> requests_;
  std::deque<answer> answers_;
  std::size_t open_ = 0; ///< requests, answers, and what is in work
  bool ending_ = false;
  bool all_read_ = false;
  std::thread reader_;
  std::thread teller_;
};

} // namespace lance::client
