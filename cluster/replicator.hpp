// The leader's side of replication: what each follower gets next.
//
//   probing      one append at a time, until both agree where the logs are the same
//   streaming    the newest batches from memory, a window of them on the way
//   catching_up  from segments, by fetch_request: who is behind the tail, or evicted
//   rebasing     behind the start of the leader's log: told to begin there
//
// Acknowledgements may be lost, repeated and out of order: positions only count in the term they
// were said in, ends only grow, and a refusal counts for the append it names, if that is not older
// than the last change of mind. Eviction takes the window away, never the vote.
//
// Pure; owned by the group's raft while it leads.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "cluster/quorum.hpp"
#include "cluster/raft_output.hpp"
#include "cluster/replica_log.hpp"

namespace lance::cluster {

enum class feed : std::uint8_t { probing, streaming, catching_up, rebasing };

struct follower_view {
  /// An append on its way; together they are the window.
  struct in_flight {
    batch_number end;
    std::uint64_t bytes = 0;
    std::uint64_t sent_ns = 0;
    bool late = false; ///< counted as late while still on its way
  };

  node_id node;
  feed how = feed::probing;
  batch_number next;           ///< what it gets next
  batch_number durable_end{1}; ///< the same as our log and durable there
  batch_number received_end{1};
  std::uint64_t heard_ns = 0;   ///< last word in this term
  std::uint64_t moved_ns = 0;   ///< something came back, or the first of the window left
  std::uint64_t round = 0;      ///< of beats, answered
  std::uint64_t sequence = 0;   ///< of the last append
  std::uint64_t asked_from = 1; ///< refusals of earlier appends are out of date
  std::uint64_t flush_ns = 0;
  std::uint64_t evicted_ns = 0; ///< when, if it is
  bool asked = false;           ///< a probe or a rebase is on its way
  bool retried = false;         ///< and the one before brought nothing
  bool fetching = false;        ///< a fetch_request is open
  pace speed;
  std::deque<in_flight> window;
  std::uint64_t window_bytes = 0;
};

class replicator {
 public:
  replicator(log_id log, node_id self, const raft_options& chosen)
      : log_(log), self_(self), chosen_(chosen) {}

  /// Leadership begins; nobody's log is known.
  void begin(term now, const replica_log& own, std::uint64_t now_ns);
  /// Followers come and go with the latest membership of the log.
  void set_members(const replica_log& own, std::uint64_t now_ns);
  /// The leader appended [from, end): the new end of the tail.
  void appended(batch_number from, batch_number end, std::uint64_t bytes);
  void set_own_flush(std::uint64_t flush_ns) noexcept { own_flush_ns_ = flush_ns; }

  void received(node_id from, const append_reply& reply, const replica_log& own,
                std::uint64_t now_ns, raft_output& out);
  void received(node_id from, const beat_reply& reply, const replica_log& own, std::uint64_t now_ns,
                raft_output& out);
  void fetched(node_id to, batch_number from, batch_number end, std::uint64_t bytes,
               bool whole_file, const replica_log& own, std::uint64_t now_ns, raft_output& out);
  void fetch_failed(node_id to) noexcept;
  /// What is late, and what was lost.
  void tick(const replica_log& own, std::uint64_t now_ns, raft_output& out);
  /// Sends to all whatever their windows let through.
  void pump(const replica_log& own, std::uint64_t now_ns, raft_output& out);

  [[nodiscard]] const std::vector<follower_view>& followers() const noexcept { return views_; }
  [[nodiscard]] const follower_view* find(node_id node) const noexcept;
  /// The end below which a majority of the voters is durable, the leader itself with `own_durable`
  /// if it votes.
  [[nodiscard]] batch_number majority_durable(const replica_log& own) const;

 private:
  struct tail_run {
    batch_number from;
    batch_number end;
    std::uint64_t bytes = 0;
  };
  struct tail_piece {
    batch_number end;
    std::uint64_t bytes = 0;
  };

  follower_view* mutable_view(node_id node) noexcept;
  void took(follower_view& view, batch_number durable_end, batch_number received_end,
            const replica_log& own, std::uint64_t now_ns, raft_output& out);
  void refused(follower_view& view, const append_reply& reply, const replica_log& own);
  void start_over(follower_view& view, batch_number next) noexcept;
  void judge_late(follower_view& view, std::uint64_t limit_ns, std::uint64_t now_ns,
                  raft_output& out);
  void evict(follower_view& view, std::uint64_t now_ns, raft_output& out);
  void feed_one(follower_view& view, const replica_log& own, std::uint64_t now_ns,
                raft_output& out);
  void stream(follower_view& view, const replica_log& own, std::uint64_t now_ns, raft_output& out);
  void send_append(follower_view& view, batch_number end, std::uint64_t bytes, bool whole_file,
                   const replica_log& own, std::uint64_t now_ns, raft_output& out);
  void send_rebase(follower_view& view, const replica_log& own, std::uint64_t now_ns,
                   raft_output& out);
  [[nodiscard]] bool in_tail(batch_number next, const replica_log& own) const noexcept;
  [[nodiscard]] tail_piece piece(const follower_view& view) const noexcept;
  [[nodiscard]] bool room(const follower_view& view, std::uint64_t bytes) const noexcept;
  [[nodiscard]] std::uint64_t late_limit() const;

  log_id log_;
  node_id self_;
  const raft_options& chosen_;
  term term_;
  std::vector<follower_view> views_;
  std::deque<tail_run> tail_; // ends where the log ends
  std::uint64_t tail_bytes_ = 0;
  std::uint64_t own_flush_ns_ = 0;
};

} // namespace lance::cluster
