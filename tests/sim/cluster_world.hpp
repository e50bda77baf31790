// One history of a cluster from one seed: nodes that carry the members of a few logs, the network
// between them, their clients, and all that happens to them; then a quiet end in which everything
// must come right.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/cluster_faults.hpp"

namespace lance::sim {

struct cluster_report {
  std::uint64_t seed = 0;
  std::uint64_t hash = 0; ///< of all events: two runs with the same one were the same run
  std::uint64_t events = 0;
  std::uint64_t committed = 0; ///< batches
  std::uint64_t simulated_ns = 0;
  cluster_counts counts;
  std::string violation; ///< empty when every promise was kept
};

/// `print`: every event, a line each.
[[nodiscard]] cluster_report run_cluster_seed(std::uint64_t seed, bool print = false);

} // namespace lance::sim
