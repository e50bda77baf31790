// One member of one log's group: who leads, what its log must hold, what is committed. The entries
// are the batches of the log itself; there is no other log. Messages, time, what became durable and
// what ingestion appended come in; what to persist, write, send and acknowledge comes out
// (raft_output.hpp, whose order is the order of the deeds). Same inputs, same outputs, bit for bit:
// no clock, no thread, no file, no socket, and chance is an argument.
//
// What always holds (tests/sim checks it):
//   - a term and a vote are persisted before anybody hears of them;
//   - a position is told when it is durable, and counts when it is told; the leader's own, too;
//   - committed is what a majority of all configured voters has durable, up to a batch of the
//     leader's own term; it never goes back, and what is below never changes;
//   - who is evicted is counted like everybody else.
//
// Owned by the actor that carries the log's replication, on its thread. Every input clears `out`,
// which belongs to the owner, and fills it; the owner does all of it before the next input.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "cluster/follower.hpp"
#include "cluster/options.hpp"
#include "cluster/raft_message.hpp"
#include "cluster/raft_output.hpp"
#include "cluster/replica_log.hpp"
#include "cluster/replicator.hpp"
#include "runtime/result.hpp"

namespace lance::cluster {

/// When an input comes in: steady time, which may stand still but is taken as never going back, and
/// a fresh random number.
struct moment {
  std::uint64_t now_ns = 0;
  std::uint64_t random = 0;
};

/// What storage and votes.log know of a member when it starts.
struct raft_start {
  log_id log;
  node_id self;
  term current;                ///< of votes.log
  std::optional<node_id> vote; ///< of votes.log
  batch_number start{1};       ///< the first batch kept
  term base_term;              ///< of the batch before it; storage keeps it when it drops batches
  std::vector<term_run> runs;  ///< terms of the batches kept
  batch_number end{1};         ///< all recovered batches, and all of them durable
  membership_at first_members; ///< that held at the start of the log
  std::vector<membership_at> memberships; ///< in the batches kept
  batch_number committed_end; ///< of an earlier core of this process: what is committed stays so
  /// False for a log whose durable part is damaged or that takes no appends (fenced): it neither
  /// votes nor leads nor says that it has anything.
  bool fit = true;
};

/// Batches a leader's ingestion appended: those of one turn, or one control batch by itself.
struct appended_run {
  batch_number from;
  batch_number end;
  term in_term;            ///< of the batches
  std::uint64_t bytes = 0; ///< as they stand in their file
  std::optional<control_batch> control;
};

/// The log is durable below `end`. `generation` is raft::generation() of when that was asked for.
struct durable_news {
  batch_number end;
  std::uint64_t generation = 0;
  std::uint64_t flush_ns = 0; ///< of the group, 0 if unknown
};

struct fetched_range {
  node_id to;
  batch_number from;
  batch_number end; ///< equal to `from`: there was nothing
  std::uint64_t bytes = 0;
  bool whole_file = false;
};

class raft {
 public:
  raft(const raft_options& chosen, const raft_start& found, moment at);

  // -- what comes in ---------------------------------------------------------------------------
  /// Every tenth of a heartbeat or so.
  void tick(moment at, raft_output& out);
  void receive(moment at, const message& what, raft_output& out);
  /// Batches of this leader's term; or, right after it stopped leading, what ingestion had taken
  /// by then.
  void appended(moment at, const appended_run& what, raft_output& out);
  void durable(moment at, const durable_news& what, raft_output& out);
  void fetched(moment at, const fetched_range& what, raft_output& out);
  void fetch_failed(moment at, node_id to, raft_output& out);
  /// The log can be written and its durable part is whole, or not any more.
  void set_fit(moment at, bool fit, raft_output& out);
  /// Batches below `start`, all committed, are gone from the log.
  void trimmed(batch_number start);

  // -- what is asked for: of the leader. Errors of all: not_leader. ------------------------------
  /// One member at a time: throttled while a change is not committed, or the leader has not
  /// committed a batch of its own term, or hands over. invalid_request: see stepped(); and for a
  /// learner that is not close enough to vote.
  result<> change_members(moment at, membership_step step, node_id node, raft_output& out);
  /// Hands leadership over as soon as the follower has everything; gives up after an election time.
  /// Nothing is appended meanwhile. invalid_request: no other voter. throttled: is handing over.
  result<> transfer(moment at, node_id to, raft_output& out);
  /// Answered in raft_output::reads, now or later, when a majority has confirmed that this is still
  /// the leader. throttled: reads_max wait.
  result<> read(moment at, std::uint64_t token, raft_output& out);

  // -- what is known ---------------------------------------------------------------------------
  [[nodiscard]] role now() const noexcept { return role_; }
  [[nodiscard]] term current_term() const noexcept { return term_; }
  [[nodiscard]] std::optional<node_id> vote() const noexcept { return vote_; }
  [[nodiscard]] std::optional<node_id> leader() const noexcept { return leader_; }
  [[nodiscard]] const replica_log& log() const noexcept { return log_; }
  [[nodiscard]] const membership& members() const noexcept { return log_.members.latest().members; }
  [[nodiscard]] std::uint64_t generation() const noexcept { return log_.generation; }
  /// Leads, its term has begun in the log, and it does not hand over: batches may be appended.
  [[nodiscard]] bool accepting() const noexcept;
  /// A batch of the own term is committed: all that is committed anywhere is known.
  [[nodiscard]] bool settled() const noexcept;
  /// Of a leader.
  [[nodiscard]] const std::vector<follower_view>& followers() const noexcept {
    return replicator_.followers();
  }
  /// A voter that has been away so long that it may become a learner: never one of the last two,
  /// and only where a majority is left without it.
  [[nodiscard]] std::optional<node_id> demotion_due(moment at) const;

 private:
  // raft.cpp
  void begin_input(moment at, raft_output& out);
  void end_input(raft_output& out);
  void become_follower(term now, std::optional<node_id> leader, raft_output& out);
  void enter_term(term now, std::optional<node_id> vote, raft_output& out);
  void tell_role(raft_output& out);
  void wait_for_leader() noexcept;
  void say(node_id to, raft_output& out, decltype(message::body) body) const;
  [[nodiscard]] bool leader_alive() const noexcept;
  [[nodiscard]] bool obsolete(const message& what, raft_output& out);
  // raft_election.cpp
  void campaign(bool pre, bool forced, raft_output& out);
  [[nodiscard]] bool may_campaign() const;
  void count_vote(node_id from, raft_output& out);
  void on(const message& what, const vote_request& body, raft_output& out);
  void on(const message& what, const vote_reply& body, raft_output& out);
  void on(const message& what, const timeout_now& body, raft_output& out);
  // raft_follower.cpp
  void follow(node_id leader, raft_output& out);
  void on(const message& what, const append& body, raft_output& out);
  void on(const message& what, const beat& body, raft_output& out);
  void on(const message& what, const rebase& body, raft_output& out);
  void learn_committed(batch_number of_leader);
  void reply(node_id to, raft_output& out);
  // raft_leader.cpp
  void lead(raft_output& out);
  void on(const message& what, const append_reply& body, raft_output& out);
  void on(const message& what, const beat_reply& body, raft_output& out);
  void lead_tick(raft_output& out);
  void send_beats(raft_output& out);
  void advance_committed(raft_output& out);
  void hand_over(raft_output& out);
  void answer_reads(raft_output& out);
  void lose_reads(raft_output& out);
  [[nodiscard]] bool heard_majority() const;
  [[nodiscard]] bool confirmed(std::uint64_t round) const;

  struct waiting_read {
    std::uint64_t token;
    std::uint64_t round;
  };
  struct handing_over {
    node_id to;
    std::uint64_t until_ns;
    bool told = false;
  };

  const raft_options chosen_;
  const log_id id_;
  const node_id self_;
  moment at_; ///< of the input under way
  term term_;
  std::optional<node_id> vote_;
  role role_ = role::follower;
  std::optional<node_id> leader_;
  replica_log log_;
  bool fit_;
  std::uint64_t flush_ns_ = 0; ///< the last one of the own log
  // while it follows
  follower follower_;
  std::uint64_t heard_ns_ = 0; ///< from the leader
  std::uint64_t deadline_ns_ = 0;
  // while it asks for votes
  std::vector<node_id> granted_;
  bool forced_ = false;
  // while it leads
  replicator replicator_;
  bool begun_ = false;     ///< the control batch of the term is in the log
  bool appending_ = false; ///< a control batch is asked for and not told yet
  std::uint64_t beat_ns_ = 0;
  std::uint64_t round_ = 0;
  std::deque<waiting_read> reads_;
  std::optional<handing_over> transfer_;
};

} // namespace lance::cluster
