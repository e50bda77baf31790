// One history of a cluster from one seed: nodes that carry the members of a few logs, the network
// between them, their clients, and all that happens to them; then a quiet end in which everything
// must come right.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/cluster_faults.hpp"
#include "tests/sim/faults.hpp"

namespace lance::sim {

struct cluster_run {
  std::uint64_t seed = 0;
  bool disks = false;        ///< storage on simulated disks under the cores, else a model of a log
  std::uint64_t span_ns = 0; ///< before the quiet end; 0: some seconds, as the seed says
  bool print = false;        ///< every event, a line each
};

struct cluster_report {
  std::uint64_t seed = 0;
  std::uint64_t hash = 0; ///< of all events: two runs with the same one were the same run
  std::uint64_t events = 0;
  std::uint64_t committed = 0; ///< batches
  std::uint64_t simulated_ns = 0;
  cluster_counts counts;
  fault_counts disk_faults;
  std::string violation; ///< empty when every promise was kept
};

[[nodiscard]] cluster_report run_cluster(const cluster_run& how);

} // namespace lance::sim
