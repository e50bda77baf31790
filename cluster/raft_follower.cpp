// What a member does that follows: it makes its log the leader's, and says what it has.
#include <algorithm>

#include "cluster/raft.hpp"
#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::cluster {

using runtime::plant;
using runtime::planted;

void raft::follow(node_id leader, raft_output& out) {
  // Two leaders in one term: votes were given twice, and nothing that is decided holds.
  LANCE_CHECK(role_ != role::leader && (!leader_ || *leader_ == leader), leader.value, term_.value);
  if (role_ != role::follower || !leader_)
    become_follower(term_, leader, out);
  wait_for_leader();
}

void raft::on(const message& what, const append& body, raft_output& out) {
  follow(what.from, out);
  if (!fit_)
    return;
  const auto verdict = judge(log_, body);
  if (!verdict.fits)
    return say(what.from, out, follower_.refusal(log_, body, verdict.hint));
  if (verdict.truncate_to) {
    log_.truncate(*verdict.truncate_to);
    out.truncate_to = verdict.truncate_to;
  }
  if (verdict.write_from < body.end) {
    out.write = write_range{verdict.write_from, body.end};
    const auto from = log_.terms.end();
    if (from < body.end)
      log_.terms.append(body.runs, from, body.end);
    for (const auto& each : body.memberships)
      if (each.at >= verdict.write_from)
        log_.members.append(each);
  }
  follower_.matched(verdict.matched_end, body.sequence);
  learn_committed(body.committed_end);
  reply(what.from, out);
}

void raft::on(const message& what, const beat& body, raft_output& out) {
  follow(what.from, out);
  if (!fit_)
    return;
  learn_committed(body.committed_end);
  say(what.from, out, beat_reply{body.round, follower_.safe_end(log_), follower_.matched_end()});
}

void raft::on(const message& what, const rebase& body, raft_output& out) {
  follow(what.from, out);
  if (!fit_)
    return;
  const bool has =
      log_.terms.end() >= body.start &&
      (log_.committed_end >= body.start || log_.terms.before(body.start) == body.base_term);
  if (!has) {
    log_.begin_at(body.start, body.base_term, body.members);
    out.begin_at = body;
  }
  follower_.matched(body.start, body.sequence);
  reply(what.from, out);
}

void raft::learn_committed(batch_number of_leader) {
  log_.committed_end = std::max(log_.committed_end, follower_.committed_end(of_leader));
}

void raft::reply(node_id to, raft_output& out) {
  if (fit_)
    say(to, out, follower_.reply(log_, flush_ns_));
}

} // namespace lance::cluster
