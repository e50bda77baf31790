#include <algorithm>
#include <cstdio>

#include "actors/doctor/checks.hpp"
#include "actors/doctor/interrupts.hpp"
#include "runtime/machine.hpp"

namespace lance::actors::doctor {

namespace {

std::string number_of(std::uint64_t n, const char* thing) {
  return std::to_string(n) + ' ' + thing + (n == 1 ? "" : "s");
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::uint64_t allowed_cpus(const facts& known) {
  const auto& cpus = known.chosen.machine.cpus;
  return static_cast<std::uint64_t>(
      std::count_if(cpus.begin(), cpus.end(), [](const auto& cpu) { return cpu.allowed; }));
}

std::string lanes_text(const runtime::placement& plan) {
  std::string text = number_of(plan.lanes.size(), "lane");
  const auto pinned = std::count_if(plan.lanes.begin(), plan.lanes.end(),
                                    [](const auto& lane) { return lane.cpu >= 0; });
  text += pinned == 0 ? ", not pinned" : ", " + std::to_string(pinned) + " of them pinned";
  return text + (plan.fused ? ", each for all stages" : ", each for one stage");
}

// How far from one node to the other; 10 is the same one. Nothing where the table does not say.
std::optional<int> distance(const facts& known, int from, int to) {
  const auto& table = known.node_distances;
  if (from < 0 || to < 0 || static_cast<std::size_t>(from) >= table.size() ||
      static_cast<std::size_t>(to) >= table[static_cast<std::size_t>(from)].size())
    return std::nullopt;
  return table[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
}

std::string distance_text(const facts& known, int from, int to) {
  const auto far = distance(known, from, to);
  return far ? " (distance " + std::to_string(*far) + ')' : std::string{};
}

// The lanes of a kind that are pinned to CPUs of another node than this.
unsigned strangers(const facts& known, const std::vector<unsigned>& lanes, int node) {
  unsigned found = 0;
  for (const auto lane : lanes)
    for (const auto& cpu : known.chosen.machine.cpus)
      if (cpu.id == known.chosen.plan.lanes[lane].cpu && cpu.node != node)
        ++found;
  return found;
}

std::string steering_commands(const std::vector<move>& moves) {
  std::string text;
  for (const auto& one : moves)
    text += (text.empty() ? "" : "; ") + std::string{"echo "} + std::to_string(one.to) + " > " +
            affinity_path("", one.interrupt);
  return text;
}

} // namespace

finding check_placement(const facts& known) {
  const auto& plan = known.chosen.plan;
  const auto& asked = known.wanted.values.lanes;
  finding found{"cpu_placement", status::ok,
                number_of(allowed_cpus(known), "CPU") + " may be used; " + lanes_text(plan),
                "A lane that shares its CPU waits for others; lanes on few CPUs wait for each "
                "other.",
                "lance --print-config  # says how it was chosen; lanes.* choose otherwise"};
  std::vector<std::int64_t> absent;
  for (const auto id : asked.cpus)
    if (std::none_of(known.chosen.machine.cpus.begin(), known.chosen.machine.cpus.end(),
                     [id](const auto& cpu) { return cpu.id == id && cpu.allowed; }))
      absent.push_back(id);
  if (!absent.empty()) {
    found.is = status::warn;
    found.what += "; lanes.cpus names CPU " + std::to_string(absent.front()) +
                  ", which this process may not use";
    found.fix = "grep Cpus_allowed_list /proc/self/status  # what may be used; correct lanes.cpus, "
                "or the unit's CPUAffinity=";
  } else if (asked.network + asked.ingest + asked.io > 0 &&
             plan.lanes.size() < asked.network + asked.ingest + asked.io) {
    found.is = status::warn;
    found.what +=
        "; " + std::to_string(asked.network + asked.ingest + asked.io) + " lanes were asked for";
  } else if (allowed_cpus(known) < 2) {
    found.is = status::warn;
    found.what += "; network, disk and everything else share one CPU";
    found.fix = "give the process two CPUs or more (taskset, cpuset.cpus)";
  }
  return found;
}

finding check_cpu_frequency(const facts& known) {
  finding found{"cpu_frequency", status::ok, "all CPUs run at full speed",
                "A CPU that has slowed down takes tens of microseconds to come back, right when a "
                "batch arrives after a pause.",
                "cpupower frequency-set -g performance"};
  if (known.governors.empty()) {
    found.is = status::skip;
    found.what = "this machine does not let its CPUs' frequency be governed";
    return found;
  }
  const auto slow = std::find_if(known.governors.begin(), known.governors.end(),
                                 [](const auto& one) { return one.word != "performance"; });
  if (slow != known.governors.end()) {
    found.is = status::warn;
    found.what = "the governor of CPU " + std::to_string(slow->cpu) + " is " + slow->word;
  }
  return found;
}

finding check_numa(const facts& known) {
  const auto& machine = known.chosen.machine;
  const auto& plan = known.chosen.plan;
  finding found{"numa", status::ok, "one memory node",
                "Memory of another node takes longer to reach, for the card, the disk and the "
                "lanes between them.",
                ""};
  if (machine.node_count < 2)
    return found;
  found.what = number_of(static_cast<std::uint64_t>(machine.node_count), "memory node");
  if (machine.nic_node < 0 || machine.nvme_node < 0) {
    found.is = status::skip;
    found.what += "; that of the " + std::string{machine.nic_node < 0 ? "network card" : "disk"} +
                  " is not known (numa.nic_node, numa.nvme_node and network.nic_pci_addr tell it)";
    return found;
  }
  std::vector<unsigned> io;
  for (const auto& shard : plan.shards)
    io.push_back(shard.io_lane);
  std::sort(io.begin(), io.end());
  io.erase(std::unique(io.begin(), io.end()), io.end());
  const auto far_network = strangers(known, plan.network_lanes, machine.nic_node);
  const auto far_io = strangers(known, io, machine.nvme_node);
  found.what += "; the card is on " + std::to_string(machine.nic_node) + ", the disk on " +
                std::to_string(machine.nvme_node) +
                distance_text(known, machine.nic_node, machine.nvme_node);
  if (!known.wanted.values.numa.enabled) {
    found.is = status::warn;
    found.what += "; numa.enabled = false leaves the lanes anywhere";
    found.fix = "set numa.enabled = true";
  } else if (far_network + far_io > 0) {
    found.is = status::warn;
    found.what += "; " + number_of(far_network, "network lane") + " and " +
                  number_of(far_io, "I/O lane") + " run elsewhere";
    found.fix = "lscpu | grep NUMA  # then name CPUs of those nodes in lanes.cpus";
  } else if (machine.nic_node != machine.nvme_node) {
    found.is = status::warn;
    found.what += ": every record crosses from one to the other";
    found.fix = "lspci -vv | grep -E 'Ethernet|Non-Volatile|NUMA'  # use a card and a disk of one "
                "node";
  }
  return found;
}

finding check_interrupts(const facts& known) {
  finding found{"interrupts", status::ok, "",
                "An interrupt stops the lane on whose CPU it arrives; elsewhere the lane finds the "
                "packet at its next turn.",
                ""};
  const auto taken = lane_cpus(known);
  const auto& card = known.card;
  if (card.interface.empty() || card.interrupts.empty()) {
    found.is = status::skip;
    found.what = card.interface.empty()
                     ? "no network card was found (network.nic_pci_addr names one)"
                     : "no interrupt of " + card.interface + " was found";
    return found;
  }
  found.what = number_of(card.interrupts.size(), "interrupt") + " of " + card.interface;
  if (taken.empty()) {
    found.is = status::skip;
    found.what += "; lanes are not pinned: the kernel keeps them apart";
    return found;
  }
  found.what += "; lanes on CPUs " + runtime::show_cpu_list(taken);
  if (cpus_for_interrupts(known).empty()) {
    found.is = status::warn;
    found.what += ", which are all there are";
    found.fix = "set lanes.cpus so that one CPU is left for interrupts";
    return found;
  }
  const auto moves = plan_interrupts(known);
  if (!moves.empty()) {
    found.is = status::warn;
    found.what += "; " + std::to_string(moves.size()) + " may arrive there";
    found.fix = std::string{card.balanced ? "systemctl disable --now irqbalance; " : ""} +
                steering_commands(moves) + "  # or, as root: lance doctor --apply";
  } else if (card.balanced) {
    found.is = status::warn;
    found.what += "; none arrives there now, but irqbalance moves them as it thinks";
    found.fix = "systemctl disable --now irqbalance";
  } else {
    found.what += "; none arrives there";
  }
  return found;
}

finding check_cpu_limit(const facts& known) {
  const auto& machine = known.chosen.machine;
  finding found{
      "cpu_limit", status::ok, "no limit of CPU time",
      "When a group's time is used up, all of its threads stand still for the rest of "
      "the period, up to a tenth of a second.",
      "systemctl set-property lance.service CPUQuota=  # Kubernetes: resources.limits.cpu"};
  if (machine.cpu_quota <= 0)
    return found;
  found.what = "the control group grants " + rounded(machine.cpu_quota) + " CPUs' time";
  if (machine.cpu_throttled > 0) {
    found.is = status::warn;
    found.what += ", and has stopped all threads " + number_of(machine.cpu_throttled, "time");
  } else if (machine.cpu_quota < 1) {
    found.is = status::warn;
    found.what += ": one busy lane uses that up";
  }
  return found;
}

finding check_memory_limit(const facts& known) {
  // What the program itself takes beside its buffers, with room for indexes and connections.
  constexpr std::uint64_t beside = 64 * MiB;
  const auto limit = known.chosen.machine.memory_limit_bytes;
  const auto buffers = known.chosen.plan.memory.total;
  finding found{"memory_limit", status::ok, "",
                "A process that reaches the limit of its control group is killed; what is read "
                "through the page cache counts too.",
                "systemctl set-property lance.service MemoryMax=1G  # Kubernetes: "
                "resources.limits.memory; or lower io.buffer_bytes"};
  if (limit == 0) {
    found.is = status::skip;
    found.what = "not known: neither /proc/meminfo nor a control group says";
    return found;
  }
  found.what = std::to_string(limit / MiB) + " MiB may be used, the buffers take " +
               std::to_string(buffers / MiB);
  if (limit < buffers + beside)
    found.is = status::fail;
  else if (limit < 2 * buffers)
    found.is = status::warn;
  return found;
}

} // namespace lance::actors::doctor
