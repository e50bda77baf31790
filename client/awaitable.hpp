// The same for coroutines: co_await sent(producer, record) and co_await received(consumer, ...).
// The coroutine goes on at the thread of callbacks, producer's or consumer's, where it may send and
// ask but should not block for long; it must not be destroyed while it waits.
#pragma once

#include <coroutine>
#include <optional>
#include <string>
#include <utility>

#include "client/async_consumer.hpp"
#include "client/producer.hpp"

namespace lance::client {

/// Gives the record's delivery. What the producer refuses to take is a delivery too: `refused`,
/// with its problem. send() may block while the producer is full, as it does without a coroutine.
class [[nodiscard]] send_awaitable {
 public:
  send_awaitable(producer& to, const outgoing_record& what) : to_(to), what_(what) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    // As soon as the record is taken the coroutine may be running elsewhere, and this be gone.
    auto taken = to_.send(what_, [this, waiting](const delivery& end) {
      end_ = end;
      waiting.resume();
    });
    if (taken)
      return true;
    end_ = delivery{fate::refused, std::string{what_.topic}, 0, std::move(taken.error())};
    return false;
  }
  [[nodiscard]] delivery await_resume() { return std::move(*end_); }

 private:
  producer& to_;
  outgoing_record what_; ///< its views live as long as the co_await expression
  std::optional<delivery> end_;
};

/// Gives what async_consumer::next() tells.
class [[nodiscard]] receive_awaitable {
 public:
  receive_awaitable(async_consumer& from, std::size_t max_records, deadline until)
      : from_(from), max_records_(max_records), until_(until) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    auto taken = from_.next(max_records_, until_, [this, waiting](records_outcome what) {
      what_ = std::move(what);
      waiting.resume();
    });
    if (taken)
      return true;
    what_ = tl::unexpected{std::move(taken.error())};
    return false;
  }
  [[nodiscard]] records_outcome await_resume() { return std::move(*what_); }

 private:
  async_consumer& from_;
  std::size_t max_records_;
  deadline until_;
  std::optional<records_outcome> what_;
};

[[nodiscard]] inline send_awaitable sent(producer& to, const outgoing_record& what) {
  return {to, what};
}
[[nodiscard]] inline receive_awaitable received(async_consumer& from, std::size_t max_records,
                                                deadline until) {
  return {from, max_records, until};
}

} // namespace lance::client
