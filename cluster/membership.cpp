#include "cluster/membership.hpp"

#include <algorithm>

namespace lance::cluster {

namespace {

void insert(std::vector<node_id>& into, node_id node) {
  into.insert(std::ranges::lower_bound(into, node), node);
}

bool ascending(const std::vector<node_id>& nodes) noexcept {
  return std::ranges::adjacent_find(nodes, std::ranges::greater_equal{}) == nodes.end();
}

} // namespace

bool membership::votes(node_id node) const noexcept {
  return std::ranges::find(voters, node) != voters.end();
}

bool membership::learns(node_id node) const noexcept {
  return std::ranges::find(learners, node) != learners.end();
}

result<membership> stepped(const membership& from, membership_step step, node_id node) {
  auto to = from;
  const bool fits = step == membership_step::add_learner ? !from.has(node)
                    : step == membership_step::promote   ? from.learns(node)
                    : step == membership_step::demote    ? from.votes(node)
                                                         : from.has(node);
  if (!fits)
    return fail(errc::invalid_request);
  std::erase(to.voters, node);
  std::erase(to.learners, node);
  if (step == membership_step::promote)
    insert(to.voters, node);
  if (step == membership_step::add_learner || step == membership_step::demote)
    insert(to.learners, node);
  if (to.voters.empty())
    return fail(errc::invalid_request);
  if (to.voters.size() + to.learners.size() > members_max)
    return fail(errc::throttled);
  return to;
}

bool well_formed(const membership& members) noexcept {
  const auto count = members.voters.size() + members.learners.size();
  return !members.voters.empty() && count <= members_max && ascending(members.voters) &&
         ascending(members.learners) &&
         std::ranges::none_of(members.learners, [&](node_id node) { return members.votes(node); });
}

bool one_step_apart(const membership& a, const membership& b) {
  std::vector<node_id> differing;
  std::ranges::set_symmetric_difference(a.voters, b.voters, std::back_inserter(differing));
  return differing.size() <= 1;
}

const membership_at& membership_history::before(batch_number end) const noexcept {
  auto at = known_.size() - 1;
  while (at > 0 && known_[at].at >= end)
    --at;
  return known_[at];
}

std::vector<membership_at> membership_history::within(batch_number from, batch_number end) const {
  std::vector<membership_at> found;
  for (const auto& each : known_)
    if (each.at >= from && each.at < end)
      found.push_back(each);
  return found;
}

void membership_history::truncate(batch_number end) {
  while (known_.size() > 1 && known_.back().at >= end)
    known_.pop_back();
}

void membership_history::drop_before(batch_number start) {
  const auto& kept = before(start);
  known_.erase(known_.begin(), known_.begin() + (&kept - known_.data()));
}

} // namespace lance::cluster
