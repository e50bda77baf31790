// What clients sent and what they were told of it. Promises: every record gets its end, once; what
// was refused is not stored; what must not be sent again, and what an idempotent producer sends, is
// stored at most once, nothing more often than it was sent; an idempotent producer and a window of
// one keep the order.
//
// Also the only memory of what payloads were: stored batches are compared with it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "client/send_window.hpp"
#include "runtime/bytes.hpp"
#include "tests/sim/checkers/violations.hpp"

namespace lance::sim {

struct sent_batch {
  std::uint32_t client = 0;
  std::uint64_t sequence = 0; ///< of the client
  std::uint32_t log = 0;
  std::uint32_t records = 0;
  std::vector<std::byte> payload;
  std::uint64_t times_sent = 0;
  std::optional<client::fate> end{};
  std::uint64_t stored = 0;       ///< places in its log, also those retention took since
  std::uint64_t given_up = 0;     ///< places that a level below fsync was allowed to lose
  std::uint64_t first_number = 0; ///< of its first place
};

class deliveries {
 public:
  deliveries(violations& broken, client::on_unknown rule, std::size_t window, bool idempotent)
      : broken_(broken), once_(idempotent || rule == client::on_unknown::report),
        in_order_(idempotent || window == 1) {}

  /// A record was handed to a client; its number.
  std::uint64_t record_begun() {
    record_ends_.push_back(0);
    return record_ends_.size() - 1;
  }
  void record_ended(std::uint64_t record);

  /// A batch leaves for the server for the first time.
  std::size_t begun(sent_batch what);
  void sent(std::size_t which) { ++batches_[which].times_sent; }
  void ended(std::size_t which, client::fate how);

  /// The batch with exactly this content; nothing when nobody sent it.
  [[nodiscard]] std::optional<std::size_t> find(std::uint32_t log, byte_view payload) const;
  [[nodiscard]] const sent_batch& batch(std::size_t which) const { return batches_[which]; }

  /// The batch has a durable place in its log, or had one that was allowed to be lost.
  void stored(std::size_t which, std::uint64_t number);
  void given_up(std::size_t which);
  /// The place that was given up is there again.
  void regained(std::size_t which);

  /// At the end, when nobody waits any more.
  void judge_all();

  [[nodiscard]] std::size_t acknowledged() const noexcept { return acknowledged_; }
  [[nodiscard]] std::size_t resent() const noexcept;

 private:
  using content = std::tuple<std::uint32_t, std::uint32_t, std::size_t>; // log, sum, bytes
  static content content_of(std::uint32_t log, byte_view payload);
  void judge(const sent_batch& one);
  void judge_order();

  violations& broken_;
  bool once_;
  bool in_order_;
  std::vector<sent_batch> batches_;
  std::map<content, std::size_t> by_content_;
  std::vector<std::uint8_t> record_ends_;
  std::size_t acknowledged_ = 0;
};

} // namespace lance::sim
