// Which batches may be on the wire, and what each answer means: the deciding half of a producer's
// sending. Plain code without sockets or clocks of its own. Owned by the producer's I/O thread.
//
// A batch is ready, then in flight, then completed; refused as "later, please" or caught in a lost
// connection it is ready again, in front of those begun after it. With more than one batch in
// flight, a batch that had to wait this way may so end up behind a later one; a window of one keeps
// the order strictly.
//
// An idempotent producer's batches are numbered per topic, from 1, when they are first taken, and
// keep their number however often they are sent: the server stores each once, and in that order. A
// number that is given up leaves a gap which the server will not pass. Then no new batch is taken
// until all numbered ones have their answer, and a new epoch begins with new numbers.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "client/channel.hpp"
#include "client/outgoing_batch.hpp"

namespace lance::client {

/// What becomes of a batch that was sent when the connection is lost before the answer.
enum class on_unknown : std::uint8_t {
  resend, ///< it may then be stored twice: at least once
  report, ///< it may be stored once or not at all: at most once, and the sender is told
};

class send_window {
 public:
  /// `idempotent`: what has no answer is sent again, whatever `unknown` says.
  send_window(std::size_t in_flight_max, on_unknown unknown, bool idempotent = false) noexcept
      : in_flight_max_(in_flight_max), unknown_(unknown), idempotent_(idempotent) {}

  /// Batches come in the order they are to be sent in.
  void push(batch_ptr batch);

  /// The next batch to send on this connection, now in flight, its batch id given; null when the
  /// window is full or nothing is ready. It stays owned here.
  [[nodiscard]] outgoing_batch* take(std::uint64_t& batch_id);

  /// What an answer asks the I/O thread to do.
  enum class verdict : std::uint8_t {
    go_on,
    pause,    ///< the server asks to slow down: wait before the next take()
    redirect, ///< the server does not lead: reconnect
    broken,   ///< not an answer to what was sent: drop the connection
  };
  [[nodiscard]] verdict on_reply(const reply_frame& reply, const std::string& node);

  /// The connection is gone. What was wholly sent is ready again or completed as unknown.
  void on_lost(const failure& why);

  /// Gives up on ready batches begun before `limit_ns`.
  void expire(std::uint64_t limit_ns, const failure& why);
  /// Gives up on everything.
  void abandon(const failure& why);

  /// Finished batches, in the order they finished. The caller takes them away.
  [[nodiscard]] std::vector<completed_batch>& completed() noexcept { return completed_; }

  [[nodiscard]] bool can_take() const noexcept;
  [[nodiscard]] bool has_ready() const noexcept { return !ready_.empty(); }
  [[nodiscard]] bool has_room() const noexcept {
    return in_flight_.size() + ready_.size() < in_flight_max_;
  }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.size(); }
  /// The epoch to register the producer with, before anything is taken on a connection.
  [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_; }
  /// Nothing of this epoch is open any more, and a new one has to begin: begin_epoch(), then
  /// register with it.
  [[nodiscard]] bool wants_epoch() const noexcept;
  void begin_epoch() noexcept;

  /// When the batch that waits longest for its answer was sent; ~0 when none does.
  [[nodiscard]] std::uint64_t oldest_sent_ns() const noexcept;
  /// When the batch that is ready longest was begun; ~0 when none is.
  [[nodiscard]] std::uint64_t oldest_ready_ns() const noexcept {
    return ready_.empty() ? ~std::uint64_t{0} : ready_.front()->begun_ns;
  }
  /// Batches sent again though an earlier sending may have stored them.
  [[nodiscard]] std::uint64_t resent() const noexcept { return resent_; }
  /// How long the last refusal asked to wait; zero when it did not.
  [[nodiscard]] std::chrono::milliseconds asked_to_wait() const noexcept { return asked_to_wait_; }
  /// `<ip>:<port>` of the leader, as the last redirect told it; empty when it did not.
  [[nodiscard]] const std::string& leader() const noexcept { return leader_; }

 private:
  struct flying {
    batch_ptr batch;
    std::uint64_t id = 0;
  };

  [[nodiscard]] batch_ptr land();
  [[nodiscard]] verdict on_refusal(const reply_frame& reply, const std::string& node);
  void complete(batch_ptr batch, fate end, std::optional<failure> problem);
  void give_up(batch_ptr batch, const failure& why);
  [[nodiscard]] verdict on_refused_number(batch_ptr batch, const failure& why);
  [[nodiscard]] bool follows_another(const outgoing_batch& batch) const noexcept;
  void give_number(outgoing_batch& batch) const noexcept;
  void break_off(outgoing_topic& topic);
  [[nodiscard]] bool numbered_ready() const noexcept;
  void unanswered(batch_ptr batch, const failure& why); ///< by the rule for unknown fates
  void ready_again(batch_ptr batch);

  std::size_t in_flight_max_;
  on_unknown unknown_;
  bool idempotent_;
  std::uint32_t epoch_ = 0;
  bool epoch_over_ = false;
  std::optional<failure> fenced_; ///< somebody else goes on as this producer
  std::deque<batch_ptr> ready_;
  std::deque<flying> in_flight_;
  std::vector<completed_batch> completed_;
  std::uint64_t next_id_ = 1; ///< per connection
  std::uint64_t resent_ = 0;
  std::chrono::milliseconds asked_to_wait_{};
  std::string leader_;
};

} // namespace lance::client
