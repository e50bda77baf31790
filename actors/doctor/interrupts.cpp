#include "actors/doctor/interrupts.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "runtime/machine.hpp"

namespace lance::actors::doctor {

namespace {

// The memory node whose CPUs are near the packets: the card's, else that of the network lanes.
int wanted_node(const facts& known) {
  const auto& chosen = known.chosen;
  if (chosen.machine.nic_node >= 0)
    return chosen.machine.nic_node;
  for (const auto lane : chosen.plan.network_lanes)
    for (const auto& cpu : chosen.machine.cpus)
      if (cpu.id == chosen.plan.lanes[lane].cpu)
        return cpu.node;
  return -1;
}

bool contains(const std::vector<int>& sorted, int cpu) {
  return std::binary_search(sorted.begin(), sorted.end(), cpu);
}

} // namespace

std::vector<int> lane_cpus(const facts& known) {
  std::vector<int> cpus;
  for (const auto& lane : known.chosen.plan.lanes)
    if (lane.cpu >= 0)
      cpus.push_back(lane.cpu);
  std::sort(cpus.begin(), cpus.end());
  return cpus;
}

std::vector<int> cpus_for_interrupts(const facts& known) {
  const auto taken = lane_cpus(known);
  const int node = wanted_node(known);
  std::vector<int> near;
  std::vector<int> all;
  for (const auto& cpu : known.chosen.machine.cpus) {
    if (contains(taken, cpu.id))
      continue; // whether or not we may run there: interrupts may
    all.push_back(cpu.id);
    if (cpu.node == node)
      near.push_back(cpu.id);
  }
  auto& best = near.empty() ? all : near;
  std::sort(best.begin(), best.end());
  return best;
}

std::vector<move> plan_interrupts(const facts& known) {
  const auto taken = lane_cpus(known);
  const auto free = cpus_for_interrupts(known);
  std::vector<move> moves;
  if (taken.empty() || free.empty())
    return moves;
  for (const auto& one : known.card.interrupts) {
    const bool disturbs = std::any_of(one.cpus.begin(), one.cpus.end(),
                                      [&](int cpu) { return contains(taken, cpu); });
    if (disturbs)
      moves.push_back({one.number, one.name, one.cpus, free[moves.size() % free.size()]});
  }
  return moves;
}

std::string affinity_path(const std::string& root, unsigned interrupt) {
  return root + "/proc/irq/" + std::to_string(interrupt) + "/smp_affinity_list";
}

result<> steer(const std::string& root, const move& one) {
  const int file = ::open(affinity_path(root, one.interrupt).c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0)
    return fail(errc::io_failed, errno);
  const auto text = std::to_string(one.to) + '\n';
  const auto written =
      ::write(file, text.data(), text.size()); // one write: the kernel takes it whole
  const int error = errno;
  const bool cut = root.empty() ? false : ::ftruncate(file, written) != 0; // of an ordinary file
  ::close(file);
  if (written != static_cast<ssize_t>(text.size()) || cut)
    return fail(errc::io_failed, error);
  return {};
}

} // namespace lance::actors::doctor
