// What a member knows of its own copy of a log: terms and ends, never batches. The segments are
// storage's; this is their shadow, moved by the same deeds.
//
// Plain data; owned by the group's raft.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cluster/log_terms.hpp"
#include "cluster/membership.hpp"

namespace lance::cluster {

struct replica_log {
  log_terms terms;
  membership_history members;
  batch_number durable_end;   ///< synced here below this
  batch_number committed_end; ///< known to be on a majority, for good; never goes back
  /// Counts what took batches away. News of durability from before such a deed may speak of
  /// batches that are no more, and carries the number it was born with.
  std::uint64_t generation = 0;

  void truncate(batch_number end) {
    terms.truncate(end);
    members.truncate(end);
    durable_end = std::min(durable_end, end);
    ++generation;
  }
  void begin_at(batch_number start, term base, membership_at held) {
    terms = log_terms{start, base};
    members = membership_history{std::move(held)};
    durable_end = start;
    committed_end = std::max(committed_end, start);
    ++generation;
  }
};

} // namespace lance::cluster
