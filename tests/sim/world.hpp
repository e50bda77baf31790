// One history from one seed: a node, its clients and readers, and all that happens to them, life
// after life of the process; then a quiet end in which everything must come right.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/faults.hpp"

namespace lance::sim {

struct run_report {
  std::uint64_t seed = 0;
  std::uint64_t hash = 0; ///< of all events: two runs with the same one were the same run
  std::uint64_t events = 0;
  std::uint64_t crashes = 0;      ///< power cuts and killed processes
  std::uint64_t acknowledged = 0; ///< batches
  std::uint64_t resent = 0;       ///< batches
  std::uint64_t read_bytes = 0;
  std::uint64_t dropped = 0;  ///< segments, by retention,
  std::uint64_t recycled = 0; ///< whose files became segments again
  std::uint64_t simulated_ns = 0;
  fault_counts faults;
  std::string violation; ///< empty when every promise was kept
};

/// `print`: every event, a line each.
[[nodiscard]] run_report run_seed(std::uint64_t seed, bool print = false);

} // namespace lance::sim
