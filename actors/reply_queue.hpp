// The order of one connection's replies: exactly one per request, in request order, whatever order
// the answers come in. A plain ring that grows to its bound once and then allocates no more.
#pragma once

#include <cstdint>
#include <vector>

#include "actors/limits.hpp"
#include "runtime/check.hpp"
#include "runtime/result.hpp"

namespace lance::actors {

enum class reply_kind : std::uint8_t {
  ack, ///< of an ingest frame; a refused one becomes an error reply
  keepalive,
  body, ///< kept by the connection beside the queue; never more than one at a time
};

struct reply_slot {
  reply_kind kind = reply_kind::ack;
  bool ready = false;
  bool refused = false;
  errc refusal{};
  std::uint32_t topic = 0;          ///< for the sentence of a refusal
  std::uint32_t retry_after_ms = 0; ///< the same; 0: nothing is said
  std::uint64_t batch_id = 0;
  std::uint64_t began_ns = 0; ///< when the request was whole
};

/// Owned by one connection; one thread.
class reply_queue {
 public:
  /// Credit: false means the connection is not read until replies have left.
  [[nodiscard]] bool has_room() const noexcept { return size() < replies_outstanding_max; }
  [[nodiscard]] bool empty() const noexcept { return first_ == next_; }
  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(next_ - first_);
  }

  /// Takes the next place in the order; the ticket finds it again.
  std::uint64_t open(const reply_slot& slot) {
    LANCE_CHECK(has_room(), size());
    if (size() == ring_.size())
      grow();
    at(next_) = slot;
    return next_++;
  }

  /// The answer to a ticket has come. Tickets of another life of the connection are the caller's to
  /// keep out.
  void complete(std::uint64_t ticket, bool refused, errc refusal) noexcept {
    LANCE_CHECK(ticket >= first_ && ticket < next_, ticket, first_);
    auto& slot = at(ticket);
    LANCE_CHECK(!slot.ready, ticket);
    slot.ready = true;
    slot.refused = refused;
    slot.refusal = refusal;
  }

  /// The reply that may leave next, or null.
  [[nodiscard]] const reply_slot* front_ready() const noexcept {
    return first_ != next_ && at(first_).ready ? &at(first_) : nullptr;
  }
  void pop() noexcept { ++first_; }
  /// Takes back the ticket opened last, whose request could not be handed on yet.
  void retract() noexcept { --next_; }

 private:
  [[nodiscard]] reply_slot& at(std::uint64_t ticket) noexcept {
    return ring_[ticket & (ring_.size() - 1)];
  }
  [[nodiscard]] const reply_slot& at(std::uint64_t ticket) const noexcept {
    return ring_[ticket & (ring_.size() - 1)];
  }
  void grow() {
    std::vector<reply_slot> larger(ring_.empty() ? 16 : ring_.size() * 2);
    for (auto ticket = first_; ticket != next_; ++ticket)
      larger[ticket & (larger.size() - 1)] = at(ticket);
    ring_ = std::move(larger);
  }

  std::vector<reply_slot> ring_; // a power of two
  std::uint64_t first_ = 0;
  std::uint64_t next_ = 0;
};

} // namespace lance::actors
