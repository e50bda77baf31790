#include "cluster/raft.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::cluster {

using runtime::plant;
using runtime::planted;

namespace {

replica_log recovered(const raft_start& found) {
  replica_log log{log_terms{found.start, found.base_term}, membership_history{found.first_members},
                  found.end, std::clamp(found.committed_end, found.start, found.end), 0};
  log.terms.append(found.runs, found.start, found.end);
  for (const auto& each : found.memberships)
    log.members.append(each);
  return log;
}

} // namespace

raft::raft(const raft_options& chosen, const raft_start& found, moment at)
    : chosen_(chosen), id_(found.log), self_(found.self), at_(at), term_(found.current),
      vote_(found.vote), log_(recovered(found)), fit_(found.fit),
      replicator_(found.log, found.self, chosen_) {
  // Whoever wrote a batch of a term had persisted that term first.
  LANCE_CHECK(term_ >= log_.terms.last_term(), term_.value, log_.terms.last_term().value);
  wait_for_leader();
}

// -- inputs --------------------------------------------------------------------------------------

void raft::begin_input(moment at, raft_output& out) {
  out.clear();
  at_ = {std::max(at.now_ns, at_.now_ns), at.random};
}

void raft::end_input(raft_output& out) {
  LANCE_CHECK(log_.committed_end <= log_.terms.end() || planted(plant::commit_beyond_matched) ||
                  planted(plant::tail_cut_by_old_append),
              log_.committed_end.value, log_.terms.end().value);
  out.committed_end = log_.committed_end;
  if (role_ == role::leader || planted(plant::deposed_leader_acks))
    out.acks = ack_points{log_.durable_end, log_.committed_end};
}

void raft::tick(moment at, raft_output& out) {
  begin_input(at, out);
  if (role_ == role::leader)
    lead_tick(out);
  else if (at_.now_ns >= deadline_ns_ && fit_ && may_campaign())
    campaign(true, false, out);
  end_input(out);
}

void raft::receive(moment at, const message& what, raft_output& out) {
  LANCE_CHECK(what.log == id_ && what.to == self_, what.log.value, what.to.value);
  begin_input(at, out);
  if (!obsolete(what, out))
    std::visit([&](const auto& body) { on(what, body, out); }, what.body);
  end_input(out);
}

// Brings the own term up to that of the message. True when the message is not for this term.
bool raft::obsolete(const message& what, raft_output& out) {
  const auto* asked = std::get_if<vote_request>(&what.body);
  const auto* answered = std::get_if<vote_reply>(&what.body);
  const bool leads = std::holds_alternative<append>(what.body) ||
                     std::holds_alternative<beat>(what.body) ||
                     std::holds_alternative<rebase>(what.body);
  if (asked != nullptr && asked->pre)
    return false; // nobody enters a term that was only talked about
  if (what.in_term > term_) {
    if (asked != nullptr && !asked->forced && leader_alive())
      return true; // who cannot hear the leader must not depose it
    become_follower(what.in_term, leads ? std::optional{what.from} : std::nullopt, out);
  }
  if (what.in_term == term_ || (answered != nullptr && answered->pre))
    return false;
  if (planted(plant::stale_term_accepted) && leads && role_ != role::leader)
    return false;
  // Somebody leads or asks in a term that is over: it learns of ours and steps down.
  if (leads)
    say(what.from, out, append_reply{});
  if (asked != nullptr)
    say(what.from, out, vote_reply{false, false, what.in_term});
  return true;
}

void raft::appended(moment at, const appended_run& what, raft_output& out) {
  begin_input(at, out);
  LANCE_CHECK(what.from == log_.terms.end() && what.end > what.from, what.from.value,
              log_.terms.end().value);
  const bool ours = role_ == role::leader && what.in_term == term_;
  LANCE_CHECK(ours || what.in_term == log_.terms.last_term(), what.in_term.value, term_.value);
  log_.terms.append(what.end, what.in_term);
  if (what.control && what.control->members)
    log_.members.append({what.from, *what.control->members});
  if (ours) {
    if (what.control) {
      begun_ = true;
      appending_ = false;
    }
    if (what.control && what.control->members)
      replicator_.set_members(log_, at_.now_ns);
    replicator_.appended(what.from, what.end, what.bytes);
    replicator_.pump(log_, at_.now_ns, out);
    advance_committed(out);
  }
  end_input(out);
}

void raft::durable(moment at, const durable_news& what, raft_output& out) {
  begin_input(at, out);
  if (what.generation == log_.generation || planted(plant::stale_durability)) {
    const auto end = std::min(what.end, log_.terms.end());
    const bool more = end > log_.durable_end;
    log_.durable_end = std::max(log_.durable_end, end);
    if (what.flush_ns != 0)
      flush_ns_ = what.flush_ns;
    replicator_.set_own_flush(flush_ns_);
    if (role_ == role::leader) {
      advance_committed(out);
      replicator_.pump(log_, at_.now_ns, out);
    } else if (more && leader_) {
      reply(*leader_, out);
    }
  }
  end_input(out);
}

void raft::fetched(moment at, const fetched_range& what, raft_output& out) {
  begin_input(at, out);
  if (role_ == role::leader)
    replicator_.fetched(what.to, what.from, what.end, what.bytes, what.whole_file, log_, at_.now_ns,
                        out);
  end_input(out);
}

void raft::fetch_failed(moment at, node_id to, raft_output& out) {
  begin_input(at, out);
  replicator_.fetch_failed(to); // the next tick asks again
  end_input(out);
}

void raft::set_fit(moment at, bool fit, raft_output& out) {
  begin_input(at, out);
  fit_ = fit;
  if (!fit_ && role_ != role::follower)
    become_follower(term_, std::nullopt, out);
  end_input(out);
}

void raft::trimmed(batch_number start) {
  LANCE_CHECK(start <= log_.committed_end && start <= log_.durable_end, start.value,
              log_.committed_end.value);
  log_.terms.drop_before(start);
  log_.members.drop_before(start);
}

// -- roles ---------------------------------------------------------------------------------------

void raft::enter_term(term now, std::optional<node_id> vote, raft_output& out) {
  LANCE_CHECK(now >= term_, now.value, term_.value);
  if (now == term_ && vote == vote_)
    return;
  if (now != term_)
    follower_.begin();
  term_ = now;
  vote_ = vote;
  out.persist = vote_record{id_, term_, vote_};
  if (planted(plant::vote_not_persisted))
    out.persist->vote.reset();
}

void raft::become_follower(term now, std::optional<node_id> leader, raft_output& out) {
  if (role_ == role::leader)
    lose_reads(out);
  const bool same = role_ == role::follower && now == term_ && leader == leader_;
  enter_term(now, now == term_ ? vote_ : std::nullopt, out);
  role_ = role::follower;
  leader_ = leader;
  begun_ = appending_ = false;
  transfer_.reset();
  granted_.clear();
  wait_for_leader();
  if (!same)
    tell_role(out);
}

void raft::tell_role(raft_output& out) {
  out.append.reset(); // what an earlier role of the same input wanted
  out.changed = role_change{role_, term_, leader_};
}

void raft::wait_for_leader() noexcept {
  heard_ns_ = at_.now_ns;
  deadline_ns_ = at_.now_ns + chosen_.election_ns + at_.random % chosen_.election_ns;
}

bool raft::leader_alive() const noexcept {
  return role_ == role::leader || (leader_ && at_.now_ns - heard_ns_ < chosen_.election_ns);
}

void raft::say(node_id to, raft_output& out, decltype(message::body) body) const {
  out.send.push_back({id_, self_, to, term_, std::move(body)});
}

} // namespace lance::cluster
