// The promises of one replicated log, judged from what its members persist, say and acknowledge,
// not from what they think. One function per occasion; each reports the promise that was broken.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/checkers/violations.hpp"
#include "tests/sim/sim_member.hpp"

namespace lance::sim {

class replication_checker {
 public:
  using members = std::map<node_id, const sim_member*>;

  replication_checker(log_id log, violations& broken) : log_(log), broken_(broken) {}

  /// All members, dead ones too: their disks count.
  void add(const sim_member& member) { members_[member.self()] = &member; }

  /// A process began: what it knew of committed ends is gone.
  void started(node_id node) { seen_committed_.erase(node); }
  /// One leader per term and log; it has everything that was committed before.
  void elected(node_id node, term now);
  /// After each input of a member: terms and committed ends never go back, committed batches never
  /// change, a leader commits what a majority has durable and only up to its own term.
  void looked_at(const sim_member& member);
  /// Before the deeds of an output: nothing committed is cut off, only leaders acknowledge, and
  /// only what is durable here.
  void wants(const sim_member& member, const cluster::raft_output& out);
  /// A message leaves: its term is persisted, votes are given once, what is said to be durable is,
  /// and is the same as the leader's.
  void says(const sim_member& member, const cluster::message& what);
  /// A client's batch was acknowledged as committed.
  void acknowledged(const sim_member& leader, batch_number number, std::uint64_t id);

  /// What a read that is asked for now must not miss.
  [[nodiscard]] batch_number read_asked() const noexcept { return end_of_oracle(); }
  void read_answered(batch_number must_have, batch_number got);

  /// In the end: everybody has the leader's log, and all of it is committed; all that was
  /// acknowledged is in it.
  [[nodiscard]] bool converged(const sim_member& leader) const;
  void judge_end(const sim_member& leader);

  void report(std::string_view promise, node_id node, const std::string& what) const;
  [[nodiscard]] std::uint64_t committed() const noexcept { return oracle_.size(); }

 private:
  [[nodiscard]] batch_number end_of_oracle() const noexcept {
    return batch_number{oracle_.size() + 1};
  }
  void compare(const sim_member& member, batch_number from, batch_number end);
  void judge_leader(const sim_member& leader, batch_number before);
  [[nodiscard]] bool has_durable(node_id node, batch_number number, const model_batch& what) const;
  void require_majority(const sim_member& leader, batch_number number, const model_batch& what,
                        std::string_view promise);

  log_id log_;
  violations& broken_;
  members members_;
  std::vector<model_batch> oracle_; // committed, from batch 1 on
  std::set<std::uint64_t> ids_;     // of clients' batches in it
  std::map<term, node_id> leaders_;
  std::map<node_id, term> seen_term_;
  std::map<node_id, batch_number> seen_committed_;
  std::map<std::pair<term, node_id>, node_id> votes_; // given by
  std::map<std::uint64_t, std::uint64_t> acked_;      // number to id
};

} // namespace lance::sim
