#include "tests/sim/checkers/retention.hpp"

#include <algorithm>

namespace lance::sim {

// Whether the policy wants the segment gone, given that all before it are.
bool retention_checker::asked_for(const storage::segment_facts& one, std::uint64_t wall_ns) const {
  const auto& last = history_.batch(one.end_number().value - 1).place.header;
  if (policy_.max_age_ns != 0 && wall_ns >= last.append_time_ns &&
      wall_ns - last.append_time_ns >= policy_.max_age_ns)
    return true;
  std::uint64_t bytes = 0;
  for (auto number = one.id.first.value; number < history_.next(); ++number)
    bytes += history_.batch(number).place.header.image_bytes();
  return policy_.max_bytes != 0 && bytes > policy_.max_bytes;
}

void retention_checker::taken(const storage::segment_removal& removal, const storage::log& rest,
                              std::uint64_t wall_ns) {
  history_.durable(rest.durable_next());
  for (const auto& each : removal.segments) {
    const auto& facts = each->facts();
    if (facts.end_number().value > history_.next())
      return history_.report("retention", "takes what is not durable");
    if (!asked_for(facts, wall_ns))
      return history_.report("retention", "takes the segment of batch " +
                                              std::to_string(facts.id.first.value) +
                                              " before its time");
    taken_to_ = facts.end_number().value;
    ++dropped_;
  }
  // The last segments may be active, or on their way to being closed.
  if (rest.segment_count() < 3 || rest.producers_owed())
    return;
  const auto& first = rest.segment_at(0);
  if (history_.next() < first.end_number().value)
    return;
  if (asked_for(first, wall_ns) && !rest.ending() && rest.state() == storage::log_state::open &&
      rest.durable_next() >= rest.segment_at(1).end_number())
    history_.report("retention", "keeps the segment of batch " +
                                     std::to_string(first.id.first.value) + " beyond its time");
}

void retention_checker::reopened(const storage::log& found) {
  const auto start = found.start_number().value;
  if (start < gone_to_)
    history_.report("retention", "batches that were gone came back");
  if (start > std::max<std::uint64_t>(taken_to_, 1))
    history_.report("retention",
                    "begins at batch " + std::to_string(start) + ", which nobody asked for");
  taken_to_ = std::max(taken_to_, start);
}

} // namespace lance::sim
