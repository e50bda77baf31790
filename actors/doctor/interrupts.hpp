// Where the network card's interrupts should arrive: on CPUs that carry no pinned lane, near the
// card. On a lane's CPU each of them stops the lane; elsewhere the lane finds the packet at its
// next turn. Pure, but for steer().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/doctor/facts.hpp"
#include "runtime/result.hpp"

namespace lance::actors::doctor {

/// More than the queues of any card; a bound for a mangled tree.
inline constexpr std::size_t interrupts_max = 512;

struct move {
  unsigned interrupt = 0;
  std::string name;
  std::vector<int> from;
  int to = 0;
};

/// The CPUs that carry a pinned lane, sorted.
[[nodiscard]] std::vector<int> lane_cpus(const facts& known);
/// The CPUs left for interrupts, those near the card only if there are any; sorted. Empty when
/// every CPU carries a lane.
[[nodiscard]] std::vector<int> cpus_for_interrupts(const facts& known);
/// What would have to change; empty: nothing.
[[nodiscard]] std::vector<move> plan_interrupts(const facts& known);
/// The file whose content decides, below `root`.
[[nodiscard]] std::string affinity_path(const std::string& root, unsigned interrupt);
/// Does it. Needs root's rights on a real machine. Errors: io_failed with errno.
result<> steer(const std::string& root, const move& one);

} // namespace lance::actors::doctor
