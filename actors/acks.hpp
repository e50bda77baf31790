// Who waits for a log's batches to become durable, in order; and the answers, gathered per network
// actor. Core; owned by the poller actor, its thread.
#pragma once

#include "actors/messages.hpp"
#include "storage/ring.hpp"

namespace lance::actors {

/// Takes answers; the poller actor gathers them into messages.
class answer_sink {
 public:
  virtual void answer(const pending_ack& to, log_id log, bool done, errc refusal) = 0;

 protected:
  ~answer_sink() = default;
};

/// The waiting line of one log.
class ack_line {
 public:
  void wait(const pending_ack& ack) { waiting_.push(ack); }
  [[nodiscard]] bool empty() const noexcept { return waiting_.empty(); }

  /// All batches below `next` are as durable as the topic promises: their acknowledgements go.
  void durable(log_id log, batch_number next, answer_sink& to) {
    // record 8/9: safe
    while (!waiting_.empty() && waiting_.front().batch < next)
      to.answer(waiting_.pop(), log, true, errc{});
  }
  /// Batches below `end` that are still waiting will not become durable.
  void failed(log_id log, batch_number end, errc why, answer_sink& to) {
    while (!waiting_.empty() && waiting_.front().batch < end)
      to.answer(waiting_.pop(), log, false, why);
  }
  void fail_all(log_id log, errc why, answer_sink& to) {
    while (!waiting_.empty())
      to.answer(waiting_.pop(), log, false, why);
  }

 private:
  storage::ring<pending_ack> waiting_;
};

} // namespace lance::actors
