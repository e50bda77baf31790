#include "storage/retention.hpp"

#include <algorithm>
#include <limits>

#include "runtime/plant.hpp"

namespace lance::storage {

using runtime::plant;
using runtime::planted;

retention_policy retention_of(std::uint64_t max_age_s, std::uint64_t max_bytes) noexcept {
  const bool beyond = max_age_s > std::numeric_limits<std::uint64_t>::max() / s_in_ns;
  return {beyond ? 0 : max_age_s * s_in_ns, max_bytes};
}

std::uint64_t roll_position(const retention_policy& policy, const options& chosen) noexcept {
  if (policy.max_bytes == 0)
    return chosen.segment_bytes;
  return std::min(std::max(policy.max_bytes / 4, min_roll_bytes), chosen.segment_bytes);
}

retention_plan plan_retention(std::span<const segment_facts> segments, std::size_t closed,
                              bool last_is_active, const retention_policy& policy,
                              batch_number committed_end, std::uint64_t now_ns) noexcept {
  const auto too_old = [&](std::uint64_t appended_ns) {
    return !planted(plant::age_never_met) && policy.max_age_ns != 0 &&
           now_ns >= policy.max_age_ns && appended_ns <= now_ns - policy.max_age_ns;
  };
  const auto too_large = [&](std::uint64_t bytes) {
    return policy.max_bytes != 0 && bytes > policy.max_bytes;
  };
  std::uint64_t bytes = 0;
  for (const auto& each : segments)
    bytes += each.file_bytes;

  retention_plan plan;
  if (planted(plant::durable_end_passed))
    closed = segments.size();
  for (const auto& each : segments.first(closed)) {
    if (each.end_number() > committed_end || (!too_old(each.last_ns) && !too_large(bytes)))
      break;
    bytes -= each.file_bytes;
    ++plan.drop;
  }
  if (last_is_active && segments.back().batches > 0) {
    // Its first batch decides about the age: a log that gets a little now and then would keep its
    // oldest batches for as long as a segment takes to fill.
    const auto& active = segments.back();
    plan.end_active = too_old(active.id.first_ns) || too_large(active.file_bytes);
  }
  return plan;
}

} // namespace lance::storage
