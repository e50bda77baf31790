// Which batches are safe, and who is slow. The majority is always one of all configured voters:
// who is slow leaves the fast path, never the count. "The majority of the healthy" loses
// acknowledged data as soon as the healthy are not the ones that come back.
//
// Pure; one owner.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cluster/options.hpp"
#include "runtime/types.hpp"

namespace lance::cluster {

/// The end below which a majority of the voters has everything. `ends` has one position for each
/// configured voter, also for those nothing is known of. Orders `ends`.
[[nodiscard]] batch_number majority_end(std::span<batch_number> ends) noexcept;

/// Up to where a leader may acknowledge, by the mode of the topic.
struct ack_points {
  batch_number l1_end; ///< durable on the leader
  batch_number l2_end; ///< durable on a majority, and committed

  [[nodiscard]] batch_number end(ack_mode mode) const noexcept {
    return mode == ack_mode::l1 ? l1_end : l2_end;
  }
};

/// After how long an acknowledgement is late. Orders `flush_ns`: the last flushes of the members,
/// 0 for those that told none.
[[nodiscard]] std::uint64_t late_after_ns(const raft_options& chosen,
                                          std::span<std::uint64_t> flush_ns) noexcept;

/// How one follower keeps up. Leaves the fast path after some late acknowledgements in a row and
/// returns after more of them in time, so that it does not flutter.
class pace {
 public:
  /// True if it leaves with this one.
  bool late(const raft_options& chosen) noexcept;
  /// True if it returns with this one.
  bool in_time(const raft_options& chosen) noexcept;
  [[nodiscard]] bool evicted() const noexcept { return evicted_; }

 private:
  std::uint32_t in_a_row_ = 0; ///< late ones on the fast path, those in time beside it
  bool evicted_ = false;
};

} // namespace lance::cluster
