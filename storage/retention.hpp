// Which segments of a log are to go: decided from their facts, a policy and the time. Pure; carried
// out by storage::log and segment_removal.
//
// A closed segment goes when its last batch is older than the age, or while the log is larger than
// the size; oldest first, whole segments only, never past the committed end. The active one cannot
// go as it is: it is ended when it alone breaks the policy, so that it is closed and can go at the
// next look, whether or not anybody appends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "storage/options.hpp"
#include "storage/segment.hpp"

namespace lance::storage {

/// 0: no limit.
struct retention_policy {
  std::uint64_t max_age_ns = 0;
  std::uint64_t max_bytes = 0;

  [[nodiscard]] bool limited() const noexcept { return max_age_ns != 0 || max_bytes != 0; }
  friend bool operator==(const retention_policy&, const retention_policy&) = default;
};

/// From the words of clients and configuration. An age beyond what 64 bits of nanoseconds hold is
/// none.
[[nodiscard]] retention_policy retention_of(std::uint64_t max_age_s,
                                            std::uint64_t max_bytes) noexcept;

/// Segments of a log with a limit of size are kept to a quarter of it, so that keeping the limit
/// takes a quarter away and not all; but not below this, because each begins with an allocation.
inline constexpr std::uint64_t min_roll_bytes = 4 * MiB;

/// Position behind which a log with this policy goes on in a new segment as soon as one is ready.
[[nodiscard]] std::uint64_t roll_position(const retention_policy& policy,
                                          const options& chosen) noexcept;

struct retention_plan {
  std::size_t drop = 0;    ///< so many leading segments
  bool end_active = false; ///< the active segment takes no more batches

  friend bool operator==(const retention_plan&, const retention_plan&) = default;
};

/// `segments` ascending; the first `closed` of them are closed files, and with `last_is_active` the
/// last one takes appends. `now_ns` is wall time, as the batches' append times are.
[[nodiscard]] retention_plan plan_retention(std::span<const segment_facts> segments,
                                            std::size_t closed, bool last_is_active,
                                            const retention_policy& policy,
                                            batch_number committed_end,
                                            std::uint64_t now_ns) noexcept;

} // namespace lance::storage
