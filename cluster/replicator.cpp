#include "cluster/replicator.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::cluster {

using runtime::plant;
using runtime::planted;

// -- followers -----------------------------------------------------------------------------------

void replicator::begin(term now, const replica_log& own, std::uint64_t now_ns) {
  term_ = now;
  views_.clear();
  tail_.clear();
  tail_bytes_ = 0;
  set_members(own, now_ns);
}

void replicator::set_members(const replica_log& own, std::uint64_t now_ns) {
  const auto& members = own.members.latest().members;
  std::erase_if(views_, [&](const auto& view) { return !members.has(view.node); });
  const auto add = [&](node_id node) {
    if (node == self_ || find(node) != nullptr)
      return;
    follower_view view;
    view.node = node;
    view.next = own.terms.end();
    view.heard_ns = now_ns;
    views_.push_back(std::move(view));
  };
  std::ranges::for_each(members.voters, add);
  std::ranges::for_each(members.learners, add);
}

const follower_view* replicator::find(node_id node) const noexcept {
  const auto at = std::ranges::find(views_, node, &follower_view::node);
  return at == views_.end() ? nullptr : &*at;
}

follower_view* replicator::mutable_view(node_id node) noexcept {
  const auto at = std::ranges::find(views_, node, &follower_view::node);
  return at == views_.end() ? nullptr : &*at;
}

batch_number replicator::majority_durable(const replica_log& own) const {
  const auto& members = own.members.latest().members;
  std::vector<batch_number> ends;
  const auto count = [&](node_id node) {
    if (node == self_) {
      ends.push_back(planted(plant::own_undurable_counted) ? own.terms.end() : own.durable_end);
      return;
    }
    const auto* view = find(node);
    LANCE_CHECK(view != nullptr, node.value);
    if (planted(plant::eviction_shrinks_quorum) && view->speed.evicted())
      return;
    ends.push_back(view->durable_end);
  };
  std::ranges::for_each(members.voters, count);
  if (planted(plant::learner_counted))
    std::ranges::for_each(members.learners, count);
  return majority_end(ends);
}

// -- the tail ------------------------------------------------------------------------------------

void replicator::appended(batch_number from, batch_number end, std::uint64_t bytes) {
  tail_.push_back({from, end, bytes});
  tail_bytes_ += bytes;
  while (tail_.size() > 1 &&
         (tail_bytes_ > chosen_.tail_bytes || tail_.size() > chosen_.tail_runs)) {
    tail_bytes_ -= tail_.front().bytes;
    tail_.pop_front();
  }
}

bool replicator::in_tail(batch_number next, const replica_log& own) const noexcept {
  return next == own.terms.end() || (!tail_.empty() && tail_.front().from <= next);
}

// Whole runs from `next` on, as many as fit into one append and the window, one at least.
replicator::tail_piece replicator::piece(const follower_view& view) const noexcept {
  const auto next = view.next;
  const auto left = chosen_.window_bytes - std::min(chosen_.window_bytes, view.window_bytes);
  const auto limit = std::min(chosen_.append_bytes, left);
  auto run = std::ranges::upper_bound(tail_, next, {}, &tail_run::end);
  tail_piece found{next, 0};
  for (; run != tail_.end(); ++run) {
    if (found.bytes > 0 && found.bytes + run->bytes > limit)
      break;
    found.end = run->end;
    found.bytes += run->bytes;
  }
  return found;
}

// -- what they say -------------------------------------------------------------------------------

void replicator::received(node_id from, const append_reply& reply, const replica_log& own,
                          std::uint64_t now_ns, raft_output& out) {
  auto* view = mutable_view(from);
  if (view == nullptr)
    return;
  view->heard_ns = now_ns;
  if (reply.flush_ns != 0)
    view->flush_ns = reply.flush_ns;
  took(*view, reply.durable_end, reply.received_end, own, now_ns, out);
  const bool current = reply.sequence >= view->asked_from;
  if (!reply.accepted) {
    if (current)
      refused(*view, reply, own);
  } else if (current && view->asked) {
    view->asked = view->retried = false;
    if (view->how == feed::rebasing)
      out.events.push_back({view->node, follower_news::rebased});
    view->how = view->speed.evicted() ? feed::catching_up : feed::streaming;
    view->next = std::min(reply.received_end, own.terms.end());
  }
  feed_one(*view, own, now_ns, out);
}

void replicator::received(node_id from, const beat_reply& reply, const replica_log& own,
                          std::uint64_t now_ns, raft_output& out) {
  auto* view = mutable_view(from);
  if (view == nullptr)
    return;
  view->heard_ns = now_ns;
  view->round = std::max(view->round, reply.round);
  took(*view, reply.durable_end, reply.received_end, own, now_ns, out);
  feed_one(*view, own, now_ns, out);
}

// Ends hold for the rest of the term, whenever they were said.
void replicator::took(follower_view& view, batch_number durable_end, batch_number received_end,
                      const replica_log& own, std::uint64_t now_ns, raft_output& out) {
  const auto durable = std::min(durable_end, own.terms.end());
  const auto received = std::min(std::max(received_end, durable), own.terms.end());
  if (durable > view.durable_end || received > view.received_end)
    view.moved_ns = now_ns;
  view.durable_end = std::max(view.durable_end, durable);
  view.received_end = std::max(view.received_end, received);
  if (view.how == feed::streaming || view.how == feed::catching_up)
    view.next = std::max(view.next, view.durable_end);
  const auto limit_ns = late_limit();
  while (!view.window.empty() && view.window.front().end <= view.durable_end) {
    const auto done = view.window.front();
    view.window.pop_front();
    view.window_bytes -= done.bytes;
    if (now_ns - done.sent_ns <= limit_ns) {
      if (view.speed.in_time(chosen_))
        out.events.push_back({view.node, follower_news::returned});
    } else if (!done.late && view.speed.late(chosen_)) {
      return evict(view, now_ns, out);
    }
  }
}

void replicator::refused(follower_view& view, const append_reply& reply, const replica_log& own) {
  auto next = reply.hint.end;
  if (next >= own.terms.start())
    next = own.terms.last_place(next, reply.hint.in_term).end;
  // A member that lost what it had said to be durable, which levels below fsync allow, begins
  // again where it stands. Any other refusal that far back is out of date.
  if (view.how == feed::probing && reply.sequence == view.sequence) {
    view.durable_end = std::min(view.durable_end, next);
    view.received_end = std::min(view.received_end, next);
  } else {
    next = std::max(next, view.durable_end);
  }
  view.retried = false;
  start_over(view, next);
}

void replicator::start_over(follower_view& view, batch_number next) noexcept {
  view.how = feed::probing;
  view.next = next;
  view.asked = view.fetching = false;
  view.asked_from = view.sequence + 1;
  view.window.clear();
  view.window_bytes = 0;
}

// -- who is slow, and what was lost --------------------------------------------------------------

std::uint64_t replicator::late_limit() const {
  std::vector<std::uint64_t> flushes{own_flush_ns_};
  for (const auto& view : views_)
    flushes.push_back(view.flush_ns);
  return late_after_ns(chosen_, flushes);
}

void replicator::judge_late(follower_view& view, std::uint64_t limit_ns, std::uint64_t now_ns,
                            raft_output& out) {
  for (auto& each : view.window) {
    if (each.late || now_ns - each.sent_ns <= limit_ns)
      continue;
    each.late = true;
    if (view.speed.late(chosen_))
      return evict(view, now_ns, out);
  }
}

void replicator::evict(follower_view& view, std::uint64_t now_ns, raft_output& out) {
  view.evicted_ns = now_ns;
  out.events.push_back({view.node, follower_news::evicted});
  start_over(view, std::max(view.received_end, view.durable_end));
}

void replicator::tick(const replica_log& own, std::uint64_t now_ns, raft_output& out) {
  const auto limit_ns = late_limit();
  for (auto& view : views_) {
    if (view.how == feed::streaming)
      judge_late(view, limit_ns, now_ns, out);
    const bool waits = view.asked || !view.window.empty();
    if (waits && now_ns - view.moved_ns >= chosen_.resend_ns) {
      const bool matched = view.how == feed::streaming || view.how == feed::catching_up;
      start_over(view, matched ? view.received_end : view.next);
      view.retried = true;
    }
    feed_one(view, own, now_ns, out);
  }
}

// -- what they get -------------------------------------------------------------------------------

void replicator::pump(const replica_log& own, std::uint64_t now_ns, raft_output& out) {
  for (auto& view : views_)
    feed_one(view, own, now_ns, out);
}

void replicator::feed_one(follower_view& view, const replica_log& own, std::uint64_t now_ns,
                          raft_output& out) {
  if (view.asked)
    return;
  if (view.next < own.terms.start()) {
    view.how = feed::rebasing;
    return send_rebase(view, own, now_ns, out);
  }
  if (view.how == feed::rebasing)
    view.how = feed::probing;
  if (view.how == feed::probing) {
    // Batches go along where they are at hand, but not to somebody who does not answer.
    const bool bare = view.retried || view.speed.evicted() || !in_tail(view.next, own);
    const auto some = bare ? tail_piece{view.next, 0} : piece(view);
    view.asked = true;
    return send_append(view, some.end, some.bytes, false, own, now_ns, out);
  }
  if (!view.speed.evicted() && in_tail(view.next, own)) {
    view.how = feed::streaming;
    view.fetching = false;
    return stream(view, own, now_ns, out);
  }
  view.how = feed::catching_up;
  if (!view.fetching && view.next < own.durable_end &&
      view.window.size() < chosen_.catch_up_appends) {
    view.fetching = true;
    out.fetch.push_back({view.node, view.next, chosen_.append_bytes});
  }
}

bool replicator::room(const follower_view& view, std::uint64_t bytes) const noexcept {
  if (planted(plant::window_overrun))
    return true;
  return view.window.empty() || (view.window.size() < chosen_.window_appends &&
                                 view.window_bytes + bytes <= chosen_.window_bytes);
}

void replicator::stream(follower_view& view, const replica_log& own, std::uint64_t now_ns,
                        raft_output& out) {
  while (view.next < own.terms.end()) {
    const auto some = piece(view);
    if (!room(view, some.bytes))
      return;
    send_append(view, some.end, some.bytes, false, own, now_ns, out);
    view.next = some.end;
  }
}

void replicator::fetched(node_id to, batch_number from, batch_number end, std::uint64_t bytes,
                         bool whole_file, const replica_log& own, std::uint64_t now_ns,
                         raft_output& out) {
  auto* view = mutable_view(to);
  if (view == nullptr || !view->fetching)
    return;
  view->fetching = false;
  // It may have moved on in the meantime, and the start of the log, too.
  if (view->how == feed::catching_up && view->next == from && from >= own.terms.start() &&
      end > from && end <= own.durable_end) {
    send_append(*view, end, bytes, whole_file, own, now_ns, out);
    view->next = end;
  }
  feed_one(*view, own, now_ns, out);
}

void replicator::fetch_failed(node_id to) noexcept {
  if (auto* view = mutable_view(to); view != nullptr)
    view->fetching = false;
}

// Batches [view.next, end).
void replicator::send_append(follower_view& view, batch_number end, std::uint64_t bytes,
                             bool whole_file, const replica_log& own, std::uint64_t now_ns,
                             raft_output& out) {
  if (view.window.empty())
    view.moved_ns = now_ns;
  if (end > view.next) {
    view.window.push_back({end, bytes, now_ns});
    view.window_bytes += bytes;
  }
  append body{.sequence = ++view.sequence,
              .from = view.next,
              .end = end,
              .previous_term = own.terms.before(view.next),
              .runs = own.terms.runs(view.next, end),
              .memberships = own.members.within(view.next, end),
              .committed_end = own.committed_end,
              .whole_file = whole_file};
  out.send.push_back({log_, self_, view.node, term_, std::move(body)});
}

void replicator::send_rebase(follower_view& view, const replica_log& own, std::uint64_t now_ns,
                             raft_output& out) {
  view.asked = true;
  view.moved_ns = now_ns;
  const auto start = own.terms.start();
  out.send.push_back(
      {log_, self_, view.node, term_,
       rebase{++view.sequence, start, own.terms.base_term(), own.members.before(start)}});
}

} // namespace lance::cluster
