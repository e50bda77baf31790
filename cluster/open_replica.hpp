// A node's copy of a replicated log, from whatever the last process left there to something a raft
// core can start with: the log itself (storage/open_log.hpp), the file `replica`, and what stands
// in the batches behind it.
//
// Blocks; any thread, one at a time per log. Nothing is started.
#pragma once

#include <memory>
#include <optional>

#include "cluster/replica_state.hpp"
#include "storage/log.hpp"

namespace lance::cluster {

struct opened_replica {
  std::unique_ptr<storage::log> log;
  raft_start start;
};

/// Who a member is, and what it has promised.
struct replica_identity {
  node_id self;
  membership created;                  ///< who the log was made for: holds before its first batch
  std::optional<vote_record> promised; ///< its row of votes.log
  bool votes_sound = true;             ///< false: votes.log is damaged
};

/// Finishes what a crash left half done: a retention that was decided, a new start. The segment the
/// log ends in is the active one on return, however the last process ended: where segments begin is
/// the leader's to say. A log that is damaged, fenced or whose past is not known opens, and its
/// member is not fit. Errors: io_failed, bad_format, as of storage::log::open().
[[nodiscard]] result<opened_replica> open_replica(const storage::log_environment& environment,
                                                  const storage::log_policy& policy,
                                                  const replica_identity& who);
/// The same for a member whose core goes on: the log alone.
[[nodiscard]] result<std::unique_ptr<storage::log>>
open_replicated_log(const storage::log_environment& environment, const storage::log_policy& policy);

/// Durable on return. Retention writes it before it takes anything. Errors: io_failed, too_large.
result<> write_replica_state(storage::disk& door, const std::string& directory,
                             const replica_state& state);
/// Drops all a log has and begins it anew, with what the file `replica` is to say then. `producers`
/// may be empty, `end` is where the log ends: what reaches behind the start goes first. Else as
/// storage::begin_log_at().
result<> begin_replica_at(storage::disk& door, const std::string& directory,
                          const replica_state& state, const storage::log_start& start,
                          byte_view producers, batch_number end);

} // namespace lance::cluster
