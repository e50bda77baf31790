// Bounds and times of replication, with their reasons. Plain values; no state.
#pragma once

#include <cstdint>

#include "runtime/types.hpp"

namespace lance::cluster {

/// Members of one group, learners included: as many replicas as a topic may ask for.
inline constexpr std::size_t members_max = 9;

struct raft_options {
  /// A follower waits this long for its leader, and up to as long again by chance, before it asks
  /// for votes. A leader that has not heard a majority for this long steps down.
  std::uint64_t election_ns = s_in_ns;
  /// A leader says at every multiple of this that it is there: the same moment for all groups, so
  /// that their beats to one peer travel together. Less than half of election_ns.
  std::uint64_t heartbeat_ns = 100 * ms_in_ns;
  /// What is on its way to a follower and has brought nothing back for so long was lost: ask where
  /// it stands. Long enough for a slow flush; asking too early only sends twice.
  std::uint64_t resend_ns = 300 * ms_in_ns;

  /// One append: large enough for the network's throughput, small enough to stay behind no longer
  /// than a millisecond on a fast link. A larger batch travels alone.
  std::uint64_t append_bytes = MiB;
  /// On its way to one follower and not durable there: the bound of what a peer that stops reading
  /// keeps in our buffers.
  std::uint64_t window_bytes = 8 * MiB;
  std::uint32_t window_appends = 64;
  /// The same for a follower that is fed from segments: one is read while one is written.
  std::uint32_t catch_up_appends = 2;
  /// The newest runs, which a follower on the fast path gets from memory. Those behind are read.
  std::uint64_t tail_bytes = 16 * MiB;
  std::uint32_t tail_runs = 1024;

  /// An acknowledgement is late after the larger of these: a time, and a multiple of the median
  /// flush of all members. So a cluster of slow disks evicts nobody.
  std::uint64_t evict_ns = 10 * ms_in_ns;
  std::uint32_t evict_flushes = 5;
  std::uint32_t evict_after = 3;   ///< late ones in a row
  std::uint32_t rejoin_after = 10; ///< in time in a row
  /// A voter that was away for so long may be made a learner: what a restart takes is shorter.
  std::uint64_t demote_after_ns = 30 * s_in_ns;
  /// A learner may vote when it lacks no more than this: it then catches up within a round trip.
  std::uint64_t promote_batches = 64;

  /// Reads that wait for one round of beats. More are refused: they can ask again.
  std::uint32_t reads_max = 1024;
};

} // namespace lance::cluster
