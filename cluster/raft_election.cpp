// How a member becomes the leader. First it asks whether it would be elected (pre-vote), so that
// one who merely cannot hear does not raise everybody's term; then it is elected.
#include <algorithm>

#include "cluster/raft.hpp"
#include "runtime/plant.hpp"

namespace lance::cluster {

using runtime::plant;
using runtime::planted;

void raft::campaign(bool pre, bool forced, raft_output& out) {
  wait_for_leader();
  leader_.reset();
  granted_.clear();
  forced_ = forced;
  role_ = pre ? role::pre_candidate : role::candidate;
  if (!pre)
    enter_term(term{term_.value + 1}, self_, out);
  tell_role(out);
  const auto asked = pre ? term{term_.value + 1} : term_;
  for (const auto node : members().voters)
    if (node != self_)
      out.send.push_back({id_, self_, node, asked, vote_request{pre, forced, log_.terms.last()}});
  count_vote(self_, out);
}

void raft::count_vote(node_id from, raft_output& out) {
  if (std::ranges::find(granted_, from) == granted_.end())
    granted_.push_back(from);
  const auto votes = static_cast<std::size_t>(std::ranges::count_if(granted_, [&](node_id node) {
    return members().votes(node) || (planted(plant::learner_counted) && members().learns(node));
  }));
  if (votes < members().majority())
    return;
  if (role_ == role::pre_candidate)
    campaign(false, forced_, out);
  else
    lead(out);
}

// Voters do, also those that are none any more in a change not known to be committed: it may stand
// in nobody else's log, who then wait for a vote that only this member's log would deserve. Its own
// vote does not count.
bool raft::may_campaign() const {
  if (members().votes(self_))
    return true;
  const auto& known = log_.members.before(log_.committed_end);
  if (known.members.votes(self_))
    return true;
  const auto open = log_.members.within(log_.committed_end, log_.terms.end());
  return std::ranges::any_of(open, [&](const auto& each) { return each.members.votes(self_); });
}

// A member votes whether or not it knows itself as a voter: who asks may know better.
void raft::on(const message& what, const vote_request& body, raft_output& out) {
  const bool fresh =
      body.last.up_to_date_with(log_.terms.last()) || planted(plant::vote_without_log_check);
  bool granted = fresh && fit_;
  if (body.pre) {
    granted = granted && what.in_term > term_ && !leader_alive();
  } else {
    granted = granted && (!vote_ || *vote_ == what.from) && !leader_;
    if (granted) {
      enter_term(term_, what.from, out);
      wait_for_leader();
    }
  }
  say(what.from, out, vote_reply{body.pre, granted, what.in_term});
}

void raft::on(const message& what, const vote_reply& body, raft_output& out) {
  const auto wanted = body.pre ? role::pre_candidate : role::candidate;
  const auto asked = body.pre ? term{term_.value + 1} : term_;
  if (role_ == wanted && body.granted && body.asked == asked)
    count_vote(what.from, out);
}

void raft::on(const message& what, const timeout_now& body, raft_output& out) {
  const bool has_all = log_.terms.end() >= body.end || planted(plant::transfer_without_catch_up);
  if (role_ == role::follower && leader_ == what.from && members().votes(self_) && fit_ && has_all)
    campaign(false, true, out);
}

} // namespace lance::cluster
