#include "tests/sim/checkers/replication.hpp"

#include <algorithm>

namespace lance::sim {

using namespace cluster;

namespace {

std::string text(std::uint64_t value) {
  return std::to_string(value);
}

} // namespace

void replication_checker::report(std::string_view promise, node_id node,
                                 const std::string& what) const {
  broken_.report(promise, "log " + text(log_.value) + ", node " + text(node.value) + ": " + what);
}

void replication_checker::elected(node_id node, term now) {
  const auto [at, first] = leaders_.emplace(now, node);
  if (!first && at->second != node)
    return report("one leader per term", node,
                  "leads term " + text(now.value) + " beside node " + text(at->second.value));
  if (first) {
    const auto& disk = members_.at(node)->disk;
    if (disk.end() < end_of_oracle())
      return report("a leader has all that is committed", node,
                    "ends at " + text(disk.end().value) + ", committed to " +
                        text(end_of_oracle().value));
    compare(*members_.at(node), disk.start, end_of_oracle());
  }
}

// Batches [from, end) of a member are those that were committed.
void replication_checker::compare(const sim_member& member, batch_number from, batch_number end) {
  const auto& disk = member.disk;
  for (auto at = std::max(from, disk.start); at < std::min(end, end_of_oracle()); ++at.value) {
    if (at >= disk.end())
      return report("committed batches stay", member.self(), "lacks batch " + text(at.value));
    if (disk.at(at) != oracle_[at.value - 1])
      return report("committed batches never change", member.self(),
                    "has another batch " + text(at.value));
  }
}

void replication_checker::looked_at(const sim_member& member) {
  const auto& core = member.core();
  auto& seen_term = seen_term_[member.self()];
  if (core.current_term() < seen_term)
    return report("terms never go back", member.self(), text(core.current_term().value));
  seen_term = core.current_term();
  if (const auto leader = core.leader()) {
    const auto elected = leaders_.find(seen_term);
    if (elected == leaders_.end() || elected->second != *leader)
      return report("only the leader of the term is followed", member.self(),
                    "follows node " + text(leader->value) + " in term " + text(seen_term.value));
  }
  const auto& log = core.log();
  const auto known = seen_committed_.find(member.self());
  const auto before = known == seen_committed_.end() ? member.disk.start : known->second;
  if (log.committed_end < before)
    return report("committed ends never go back", member.self(), text(log.committed_end.value));
  seen_committed_[member.self()] = log.committed_end;
  if (log.terms.end() != member.disk.end())
    return report("the core knows its log", member.self(), "takes another end for it");
  if (log.committed_end == before)
    return;
  compare(member, before, log.committed_end);
  if (core.now() == role::leader)
    judge_leader(member, before);
  // What the first member calls committed is so from now on.
  for (auto at = end_of_oracle(); at < log.committed_end && at >= member.disk.start; ++at.value) {
    if (at >= member.disk.end())
      return report("committed batches stay", member.self(), "lacks batch " + text(at.value));
    const auto& each = member.disk.at(at);
    if (each.id != 0 && !ids_.insert(each.id).second)
      return report("a batch is stored once", member.self(), "batch " + text(at.value) + " twice");
    oracle_.push_back(each);
  }
}

void replication_checker::judge_leader(const sim_member& leader, batch_number before) {
  const auto& log = leader.core().log();
  const auto last = batch_number{log.committed_end.value - 1};
  if (last < leader.disk.start)
    return;
  if (leader.disk.at(last).in_term != leader.core().current_term())
    return report("committed up to a batch of the own term", leader.self(),
                  "commits batch " + text(last.value) + " of another term");
  if (last >= before)
    require_majority(leader, last, leader.disk.at(last), "committed is durable on a majority");
}

bool replication_checker::has_durable(node_id node, batch_number number,
                                      const model_batch& what) const {
  const auto at = members_.find(node);
  if (at == members_.end())
    return false;
  const auto& disk = at->second->disk;
  return number < disk.start || (number < disk.durable_end && disk.at(number) == what);
}

void replication_checker::require_majority(const sim_member& leader, batch_number number,
                                           const model_batch& what, std::string_view promise) {
  const auto& voters = leader.core().members().voters;
  const auto have = static_cast<std::size_t>(
      std::ranges::count_if(voters, [&](node_id node) { return has_durable(node, number, what); }));
  if (have < voters.size() / 2 + 1)
    report(promise, leader.self(),
           "batch " + text(number.value) + " is durable on " + text(have) + " of " +
               text(voters.size()) + " voters");
}

void replication_checker::wants(const sim_member& member, const raft_output& out) {
  const auto known = seen_committed_.find(member.self());
  if (out.truncate_to && known != seen_committed_.end() && *out.truncate_to < known->second)
    return report("nothing committed is cut off", member.self(),
                  "cuts at " + text(out.truncate_to->value));
  const auto& core = member.core();
  if (out.acks && core.now() != role::leader)
    return report("only a leader acknowledges", member.self(), "acknowledges and does not lead");
  if (out.acks && out.acks->l1_end > member.disk.durable_end)
    return report("acknowledged is durable here", member.self(), text(out.acks->l1_end.value));
  if (core.now() != role::leader)
    return;
  std::size_t open = 0;
  for (auto at = core.log().committed_end; at < member.disk.end(); ++at.value)
    if (at >= member.disk.start && member.disk.at(at).members &&
        member.disk.at(at).in_term == core.current_term())
      ++open;
  if (open > 1)
    report("one change of members at a time", member.self(), text(open) + " are not committed");
}

void replication_checker::says(const sim_member& member, const message& what) {
  const auto* asked = std::get_if<vote_request>(&what.body);
  const auto* answered = std::get_if<vote_reply>(&what.body);
  const bool only_a_question = asked != nullptr && asked->pre;
  if (!only_a_question && what.in_term > member.disk.current)
    return report("a term is persisted before it is told", member.self(), text(what.in_term.value));
  const auto give = [&](node_id to) {
    const auto [at, first] = votes_.emplace(std::pair{what.in_term, member.self()}, to);
    if (!first && at->second != to)
      report("one vote per term", member.self(), "gives two in term " + text(what.in_term.value));
  };
  if (asked != nullptr && !asked->pre)
    give(member.self());
  if (answered != nullptr && !answered->pre && answered->granted)
    give(what.to);
  if (const auto* body = std::get_if<timeout_now>(&what.body)) {
    const auto to = members_.find(what.to);
    if (body->end != member.disk.end() || to == members_.end() ||
        (to->second->alive() && to->second->disk.end() < body->end))
      report("leadership goes to who has everything", member.self(), "hands over too early");
  }
  if (const auto* body = std::get_if<append_reply>(&what.body); body != nullptr) {
    if (body->durable_end > member.disk.durable_end)
      return report("what is told is durable", member.self(),
                    "tells " + text(body->durable_end.value) + ", has " +
                        text(member.disk.durable_end.value));
    const auto last = batch_number{body->durable_end.value - 1};
    const auto leader = members_.find(what.to);
    if (body->durable_end.value < 2 || leader == members_.end() || !leader->second->alive() ||
        leader->second->core().current_term() != what.in_term ||
        leader->second->core().now() != role::leader)
      return;
    const auto& theirs = leader->second->disk;
    if (last >= theirs.end() || (last >= theirs.start && last >= member.disk.start &&
                                 member.disk.at(last) != theirs.at(last)))
      report("what is told is the leader's", member.self(),
             "tells batch " + text(last.value) + ", which the leader has not");
  }
}

void replication_checker::acknowledged(const sim_member& leader, batch_number number,
                                       std::uint64_t id) {
  if (number.value > oracle_.size() || oracle_[number.value - 1].id != id)
    return report("acknowledged is committed", leader.self(), "batch " + text(number.value));
  require_majority(leader, number, oracle_[number.value - 1],
                   "acknowledged is durable on a majority");
  acked_[number.value] = id;
}

void replication_checker::read_answered(batch_number must_have, batch_number got) {
  if (got < must_have)
    broken_.report("reads miss nothing", "log " + text(log_.value) + ": reads to " +
                                             text(got.value) + ", committed was " +
                                             text(must_have.value));
}

// -- the end -------------------------------------------------------------------------------------

bool replication_checker::converged(const sim_member& leader) const {
  const auto& core = leader.core();
  if (core.now() != role::leader || core.log().committed_end != leader.disk.end())
    return false;
  return std::ranges::all_of(members_, [&](const auto& each) {
    const auto& [node, member] = each;
    if (!core.members().has(node))
      return true;
    if (!member->alive() || member->disk.end() != leader.disk.end() ||
        member->disk.durable_end != leader.disk.end())
      return false;
    const auto from = std::max(leader.disk.start, member->disk.start);
    for (auto at = from; at < leader.disk.end(); ++at.value)
      if (member->disk.at(at) != leader.disk.at(at))
        return false;
    return true;
  });
}

void replication_checker::judge_end(const sim_member& leader) {
  if (leader.disk.end() < end_of_oracle())
    return report("committed batches stay", leader.self(), "the log ends before");
  compare(leader, leader.disk.start, end_of_oracle());
  for (const auto& [number, id] : acked_)
    if (number >= leader.disk.start.value && leader.disk.at(batch_number{number}).id != id)
      report("acknowledged stays", leader.self(), "batch " + text(number) + " is another");
}

} // namespace lance::sim
