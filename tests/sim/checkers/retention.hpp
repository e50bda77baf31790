// Promises of retention: nothing goes that the policy does not ask for or that is not durable,
// what it asks for goes, what went does not come back, and nothing goes but by it. Judged from the
// history and the policy, not by the product's own decision.
#pragma once

#include "storage/log.hpp"
#include "tests/sim/checkers/log_history.hpp"

namespace lance::sim {

class retention_checker {
 public:
  retention_checker(log_history& history, const storage::retention_policy& policy)
      : history_(history), policy_(policy) {}

  /// Retention looked at the log at this wall time and takes `removal` out of it.
  void taken(const storage::segment_removal& removal, const storage::log& rest,
             std::uint64_t wall_ns);
  /// The removal is durable.
  void done() noexcept { gone_to_ = taken_to_; }
  void reopened(const storage::log& found);
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  [[nodiscard]] bool asked_for(const storage::segment_facts& one, std::uint64_t wall_ns) const;

  log_history& history_;
  storage::retention_policy policy_;
  std::uint64_t taken_to_ = 1; // batches below may be gone,
  std::uint64_t gone_to_ = 1;  // and below this they must
  std::uint64_t dropped_ = 0;  // segments
};

} // namespace lance::sim
