// A follower's side of an append: does it fit the own log, what of it is new, what has to go, and
// what may be said to be there. Truncates only what is not committed; anything else ends the
// process, because two members then disagree about what is for ever.
//
// Pure; owned by the group's raft.
#pragma once

#include <cstdint>
#include <optional>

#include "cluster/raft_message.hpp"
#include "cluster/replica_log.hpp"

namespace lance::cluster {

/// What an append does to a log.
struct append_verdict {
  bool fits = false;
  term_position hint;                      ///< of a refusal
  std::optional<batch_number> truncate_to; ///< first,
  batch_number write_from;                 ///< then batches [write_from, end) are written,
  batch_number matched_end;                ///< and the logs are the same below this
};

[[nodiscard]] append_verdict judge(const replica_log& own, const append& sent);

/// What a member has found out about its log and the one of the leader of this term.
class follower {
 public:
  /// A new term: nothing is known to be the same.
  void begin() noexcept { *this = {}; }
  /// The append was written, as far as it is new.
  void matched(batch_number end, std::uint64_t sequence) noexcept;
  [[nodiscard]] batch_number matched_end() const noexcept { return matched_end_; }
  /// What may be told: the same as the leader's, and durable. The end of the own durable log may
  /// lie behind a tail that the leader has not.
  [[nodiscard]] batch_number safe_end(const replica_log& own) const noexcept;
  /// How far the leader's committed end goes for this log.
  [[nodiscard]] batch_number committed_end(batch_number of_leader) const noexcept;

  [[nodiscard]] append_reply reply(const replica_log& own, std::uint64_t flush_ns) const noexcept;
  [[nodiscard]] append_reply refusal(const replica_log& own, const append& sent,
                                     term_position hint) const noexcept;

 private:
  batch_number matched_end_{1};
  std::uint64_t sequence_ = 0;
};

} // namespace lance::cluster
