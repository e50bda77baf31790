// What this process may use of this machine, read once at start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lance::runtime {

struct machine_cpu {
  int id = 0;
  int node = 0;        ///< memory node
  int core = 0;        ///< CPUs with the same number share a physical core
  bool allowed = true; ///< by the affinity mask this process was started with
};

struct machine {
  std::vector<machine_cpu> cpus;
  double cpu_quota = 0;                 ///< CPUs' worth of time granted by the cgroup; 0: no limit
  std::uint64_t cpu_throttled = 0;      ///< periods in which that quota was used up and all waited
  std::uint64_t memory_limit_bytes = 0; ///< the cgroup's limit or the machine's memory, the smaller
  int node_count = 1;
  bool nic_found = false; ///< the named network card is there
  int nic_node = -1;      ///< memory node of the named network card; -1: unknown
  int nvme_node = -1;     ///< memory node of the disk under the data directory; -1: unknown
};

struct machine_question {
  std::string nic_pci_addr; ///< e.g. "0000:3b:00.0"; empty: do not look
  std::string data_dir;     ///< its device's node is looked up; empty: do not look
};

/// Asks the kernel: sched_getaffinity, /sys, /proc and the cgroups, both versions. What cannot be
/// read keeps its default; there is always at least one allowed CPU. Any thread, at start.
[[nodiscard]] machine read_machine(const machine_question& question = {});

/// Where read_machine() looks. Tests point it at a made-up tree.
struct machine_sources {
  std::string root;         ///< before every path: "" for the real machine
  std::vector<int> allowed; ///< CPU ids of the affinity mask
  int (*node_of)(int cpu) = nullptr;
  int node_count = 1;
};
[[nodiscard]] machine read_machine(const machine_question& question,
                                   const machine_sources& sources);

/// Numbers of a kernel list such as "0-3,8,10-11"; what is no number is left out.
[[nodiscard]] std::vector<int> parse_cpu_list(const std::string& text);
/// The shortest kernel list of these numbers, which are sorted.
[[nodiscard]] std::string show_cpu_list(const std::vector<int>& cpus);

} // namespace lance::runtime
