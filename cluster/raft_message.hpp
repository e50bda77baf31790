// What the members of one group say to each other. Plain values: their bytes are the transport's,
// and the batches of an append travel beside it. Correlation is by log, term and position, never by
// request and answer: every message may be lost, repeated, late or out of order.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "cluster/log_terms.hpp"
#include "cluster/membership.hpp"
#include "runtime/types.hpp"

namespace lance::cluster {

/// Asks for a vote. `pre`: only whether it would be given in the term of the message, which the
/// sender has not entered. `forced`: a leader asked for it, so a live leader is no reason to
/// refuse.
struct vote_request {
  bool pre = false;
  bool forced = false;
  term_position last; ///< of the sender's log
};

struct vote_reply {
  bool pre = false;
  bool granted = false;
  term asked; ///< the term of the request; that of the message is the voter's own
};

/// Batches [from, end) of the leader's log; none: a question whether the logs agree at `from`.
struct append {
  std::uint64_t sequence = 0; ///< of the leader to this follower in this term; comes back
  batch_number from;
  batch_number end;
  term previous_term;                     ///< of the batch before `from`
  std::vector<term_run> runs;             ///< terms of the batches
  std::vector<membership_at> memberships; ///< in the batches
  batch_number committed_end;             ///< of the leader
  bool whole_file = false;                ///< a closed segment, as a file
};

/// A follower's answer to an append or a rebase, and its word that more became durable.
struct append_reply {
  std::uint64_t sequence = 0; ///< the latest append taken; of a refusal: the refused one
  bool accepted = false;
  batch_number durable_end;   ///< the same as the leader's log below this, and durable
  batch_number received_end;  ///< the same, durable or not
  term_position hint;         ///< of a refusal: where the logs may agree
  std::uint64_t flush_ns = 0; ///< the follower's last flush
};

/// The leader is there. Small, without batches: those of all groups to one peer travel together.
struct beat {
  batch_number committed_end;
  std::uint64_t round = 0; ///< comes back: proof of leadership for reads asked before it was sent
};

struct beat_reply {
  std::uint64_t round = 0;
  batch_number durable_end;
  batch_number received_end;
};

/// Leadership is handed over: campaign at once. For a follower that has the log up to `end`.
struct timeout_now {
  batch_number end;
};

/// The follower lacks batches the leader no longer has: drop the log and begin at `start`.
struct rebase {
  std::uint64_t sequence = 0;
  batch_number start;
  term base_term; ///< of the batch before `start`
  membership_at members;
};

struct message {
  log_id log;
  node_id from;
  node_id to;
  term in_term;
  std::variant<vote_request, vote_reply, append, append_reply, beat, beat_reply, timeout_now,
               rebase>
      body;
};

} // namespace lance::cluster
