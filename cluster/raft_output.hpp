// What a raft core wants done. One structure per input, kept and reused by its owner.
//
// The order of the members is the order of the deeds. Each is finished before the next is begun,
// and all of them before the deeds of the next output; "finished" is said beside each.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cluster/quorum.hpp"
#include "cluster/raft_message.hpp"
#include "runtime/types.hpp"

namespace lance::cluster {

enum class role : std::uint8_t { follower, pre_candidate, candidate, leader };

/// A row of votes.log.
struct vote_record {
  log_id log;
  term current;
  std::optional<node_id> vote;

  friend bool operator==(const vote_record&, const vote_record&) = default;
};

/// Batches [from, end) of the append that was just given in.
struct write_range {
  batch_number from;
  batch_number end;
};

struct role_change {
  role now = role::follower;
  term in_term;
  std::optional<node_id> leader; ///< whoever is known to lead
};

/// A batch the leader writes for itself: the start of its term, or a membership.
struct control_batch {
  std::optional<membership> members; ///< none: the term begins
};

/// The follower is fed from segments: read durable batches from `from` on, as many whole ones as
/// fit into `bytes_max`, one at least; where a closed segment begins there, that file. Answered by
/// raft::fetched() or raft::fetch_failed().
struct fetch_request {
  node_id to;
  batch_number from;
  std::uint64_t bytes_max = 0;
};

enum class follower_news : std::uint8_t { evicted, returned, rebased };
struct follower_event {
  node_id node;
  follower_news what;
};

/// A read that was asked for: everything below `committed_end` may be served, and nothing that was
/// acknowledged before the question is missing. `lost`: ask again, elsewhere.
struct read_answer {
  std::uint64_t token = 0;
  bool lost = false;
  batch_number committed_end;
};

struct raft_output {
  /// 1. Synced in votes.log.
  std::optional<vote_record> persist;
  /// 2. The whole log is dropped and begins at `start`; synced, so that no crash brings old numbers
  /// back. Durability news carry raft::generation() of after this from here on.
  std::optional<rebase> begin_at;
  /// 3. Batches from here on go; synced. Durability news as above.
  std::optional<batch_number> truncate_to;
  /// 4. Handed to the log, in order; raft::durable() tells when they are synced.
  std::optional<write_range> write;
  /// 5. Told to ingestion and clients. Who stops leading takes no more batches: what was taken is
  /// told by raft::appended() before the next input, and its acknowledgements become "unknown".
  std::optional<role_change> changed;
  /// 6. Given to the transport. May be lost.
  std::vector<message> send;
  std::vector<fetch_request> fetch;
  /// 7. Readers may go on to here.
  batch_number committed_end;
  /// 8. Set for a leader: who waits below may be acknowledged.
  std::optional<ack_points> acks;
  std::vector<read_answer> reads;
  std::vector<follower_event> events;
  /// 9. Appended like a batch of ingestion's, before any of those of the term, and told by
  /// raft::appended(). Dropped when leadership ends before.
  std::optional<control_batch> append;

  void clear() noexcept {
    persist.reset();
    begin_at.reset();
    truncate_to.reset();
    write.reset();
    changed.reset();
    append.reset();
    send.clear();
    fetch.clear();
    acks.reset();
    reads.clear();
    events.clear();
  }
};

} // namespace lance::cluster
