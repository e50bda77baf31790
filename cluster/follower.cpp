#include "cluster/follower.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::cluster {

using runtime::plant;
using runtime::planted;

append_verdict judge(const replica_log& own, const append& sent) {
  const auto& terms = own.terms;
  append_verdict verdict;
  if (sent.from > terms.end()) {
    verdict.hint = terms.last();
    return verdict;
  }
  // What is committed here is the same everywhere, and may be gone here.
  const bool agrees = sent.from <= own.committed_end ||
                      terms.before(sent.from) == sent.previous_term ||
                      planted(plant::previous_term_unchecked);
  if (!agrees) {
    verdict.hint = terms.last_place(batch_number{sent.from.value - 1}, sent.previous_term);
    return verdict;
  }
  verdict.fits = true;
  const auto from = std::max(sent.from, terms.start());
  const auto same_to = terms.first_difference(from, sent.runs, sent.end);
  verdict.matched_end = std::max(sent.end, sent.from);
  verdict.write_from = std::max(same_to, from);
  if (planted(plant::duplicate_applied))
    verdict.write_from = sent.from;
  const bool differs = same_to < std::min(sent.end, terms.end());
  if (differs || (planted(plant::tail_cut_by_old_append) && sent.end < terms.end() &&
                  sent.end > terms.start() && sent.end > sent.from)) {
    verdict.truncate_to = same_to;
    LANCE_CHECK(same_to >= own.committed_end || planted(plant::tail_cut_by_old_append),
                same_to.value, own.committed_end.value);
  }
  return verdict;
}

void follower::matched(batch_number end, std::uint64_t sequence) noexcept {
  matched_end_ = std::max(matched_end_, end);
  sequence_ = std::max(sequence_, sequence);
}

batch_number follower::safe_end(const replica_log& own) const noexcept {
  if (planted(plant::ack_before_durable))
    return matched_end_;
  if (planted(plant::unmatched_tail_acked))
    return own.durable_end;
  return std::min(matched_end_, own.durable_end);
}

batch_number follower::committed_end(batch_number of_leader) const noexcept {
  if (planted(plant::commit_beyond_matched))
    return of_leader;
  return std::min(of_leader, matched_end_);
}

append_reply follower::reply(const replica_log& own, std::uint64_t flush_ns) const noexcept {
  return {.sequence = sequence_,
          .accepted = true,
          .durable_end = safe_end(own),
          .received_end = matched_end_,
          .hint = {},
          .flush_ns = flush_ns};
}

append_reply follower::refusal(const replica_log& own, const append& sent,
                               term_position hint) const noexcept {
  return {.sequence = sent.sequence,
          .accepted = false,
          .durable_end = safe_end(own),
          .received_end = matched_end_,
          .hint = hint,
          .flush_ns = 0};
}

} // namespace lance::cluster
