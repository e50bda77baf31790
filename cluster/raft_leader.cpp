// What a member does that leads: it begins its term in the log, keeps its followers, commits, and
// steps down when it has lost the majority.
#include <algorithm>

#include "cluster/raft.hpp"
#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::cluster {

using runtime::plant;
using runtime::planted;

void raft::lead(raft_output& out) {
  role_ = role::leader;
  leader_ = self_;
  begun_ = false;
  appending_ = true;
  beat_ns_ = at_.now_ns;
  round_ = 0;
  transfer_.reset();
  replicator_.begin(term_, log_, at_.now_ns);
  replicator_.set_own_flush(flush_ns_);
  tell_role(out);
  out.append = control_batch{};
  send_beats(out);
}

bool raft::accepting() const noexcept {
  return role_ == role::leader && begun_ && !appending_ && !transfer_ && fit_;
}

bool raft::settled() const noexcept {
  return role_ == role::leader && log_.terms.before(log_.committed_end) == term_;
}

// -- time ----------------------------------------------------------------------------------------

void raft::lead_tick(raft_output& out) {
  if (!heard_majority() && !planted(plant::majority_not_missed))
    return become_follower(term_, std::nullopt, out);
  if (transfer_ && at_.now_ns >= transfer_->until_ns)
    transfer_.reset();
  replicator_.tick(log_, at_.now_ns, out);
  // At the multiples of the interval, not after it: the beats of all groups meet.
  if (at_.now_ns / chosen_.heartbeat_ns != beat_ns_ / chosen_.heartbeat_ns)
    send_beats(out);
}

bool raft::heard_majority() const {
  std::size_t heard = members().votes(self_) ? 1 : 0;
  for (const auto& view : followers())
    if (members().votes(view.node) && at_.now_ns - view.heard_ns < chosen_.election_ns)
      ++heard;
  return heard >= members().majority();
}

void raft::send_beats(raft_output& out) {
  beat_ns_ = at_.now_ns;
  for (const auto& view : followers())
    say(view.node, out, beat{log_.committed_end, round_});
}

// -- what followers say --------------------------------------------------------------------------

void raft::on(const message& what, const append_reply& body, raft_output& out) {
  if (role_ != role::leader)
    return;
  replicator_.received(what.from, body, log_, at_.now_ns, out);
  advance_committed(out);
  if (role_ == role::leader)
    hand_over(out);
}

void raft::on(const message& what, const beat_reply& body, raft_output& out) {
  if (role_ != role::leader)
    return;
  replicator_.received(what.from, body, log_, at_.now_ns, out);
  advance_committed(out);
  if (role_ == role::leader)
    answer_reads(out);
}

void raft::advance_committed(raft_output& out) {
  const auto safe = replicator_.majority_durable(log_);
  if (safe <= log_.committed_end)
    return;
  // A majority may have a batch of an earlier term and it may still be replaced; what stands before
  // a batch of this term may not.
  if (log_.terms.before(safe) != term_ && !planted(plant::old_term_committed))
    return;
  const bool changes = log_.members.latest().at >= log_.committed_end;
  log_.committed_end = safe;
  answer_reads(out);
  if (changes && log_.members.latest().at < safe && !members().votes(self_)) {
    send_beats(out); // the others learn that this was decided
    become_follower(term_, std::nullopt, out);
  }
}

// -- what is asked for ---------------------------------------------------------------------------

result<> raft::change_members(moment at, membership_step step, node_id node, raft_output& out) {
  begin_input(at, out);
  end_input(out);
  if (role_ != role::leader)
    return fail(errc::not_leader);
  const bool open =
      log_.members.latest().at >= log_.committed_end && !planted(plant::two_changes_at_once);
  if (!accepting() || !settled() || open)
    return fail(errc::throttled);
  auto next = stepped(members(), step, node);
  if (!next)
    return tl::unexpected{next.error()};
  if (step == membership_step::promote) {
    const auto* view = replicator_.find(node);
    if (view == nullptr ||
        view->durable_end.value + chosen_.promote_batches < log_.terms.end().value)
      return fail(errc::invalid_request);
  }
  LANCE_CHECK(well_formed(*next) && one_step_apart(members(), *next));
  appending_ = true;
  out.append = control_batch{std::move(*next)};
  return {};
}

result<> raft::transfer(moment at, node_id to, raft_output& out) {
  begin_input(at, out);
  end_input(out);
  if (role_ != role::leader)
    return fail(errc::not_leader);
  if (to == self_ || !members().votes(to))
    return fail(errc::invalid_request);
  if (transfer_)
    return fail(errc::throttled);
  transfer_ = handing_over{to, at_.now_ns + chosen_.election_ns, false};
  hand_over(out);
  return {};
}

// Tells the successor once it has everything; if that is lost, leadership stays where it is.
void raft::hand_over(raft_output& out) {
  if (!transfer_ || transfer_->told || appending_)
    return;
  const auto* view = replicator_.find(transfer_->to);
  if (view == nullptr)
    return transfer_.reset();
  if (view->durable_end < log_.terms.end() && !planted(plant::transfer_without_catch_up))
    return;
  transfer_->told = true;
  say(transfer_->to, out, timeout_now{log_.terms.end()});
}

result<> raft::read(moment at, std::uint64_t token, raft_output& out) {
  begin_input(at, out);
  end_input(out);
  if (role_ != role::leader)
    return fail(errc::not_leader);
  if (reads_.size() >= chosen_.reads_max)
    return fail(errc::throttled);
  reads_.push_back({token, ++round_});
  send_beats(out);
  answer_reads(out);
  return {};
}

bool raft::confirmed(std::uint64_t round) const {
  if (planted(plant::read_unconfirmed))
    return true;
  std::size_t count = members().votes(self_) ? 1 : 0;
  for (const auto& view : followers())
    if (members().votes(view.node) && view.round >= round)
      ++count;
  return count >= members().majority();
}

// Until a batch of its own term is committed a leader does not know all that is.
void raft::answer_reads(raft_output& out) {
  while (!reads_.empty() && settled() && confirmed(reads_.front().round)) {
    out.reads.push_back({reads_.front().token, false, log_.committed_end});
    reads_.pop_front();
  }
}

void raft::lose_reads(raft_output& out) {
  for (const auto& each : reads_)
    out.reads.push_back({each.token, true, {}});
  reads_.clear();
}

std::optional<node_id> raft::demotion_due(moment at) const {
  if (role_ != role::leader || members().voters.size() <= 2)
    return std::nullopt;
  for (const auto& view : followers())
    if (members().votes(view.node) && view.speed.evicted() &&
        at.now_ns >= view.evicted_ns + chosen_.demote_after_ns)
      return view.node;
  return std::nullopt;
}

} // namespace lance::cluster
