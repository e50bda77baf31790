#include "runtime/placement.hpp"

#include <algorithm>
#include <set>

#include "runtime/check.hpp"

namespace lance::runtime {

namespace {

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

std::string count_of(std::uint64_t n, const char* thing) {
  return number(n) + ' ' + thing + (n == 1 ? "" : "s");
}

struct usable {
  std::vector<machine_cpu> cpus;
  bool named = false; ///< the operator named them
};

// The CPUs that may be used at all: allowed, and named when some are named.
usable usable_cpus(const machine& machine, const placement_request& request,
                   std::vector<std::string>& why) {
  usable allowed;
  usable named{{}, true};
  for (const auto& cpu : machine.cpus) {
    if (!cpu.allowed)
      continue;
    allowed.cpus.push_back(cpu);
    if (std::find(request.cpus.begin(), request.cpus.end(), cpu.id) != request.cpus.end())
      named.cpus.push_back(cpu);
  }
  if (allowed.cpus.empty())
    allowed.cpus.push_back({}); // the machine told nothing: one CPU there must be
  why.push_back(count_of(allowed.cpus.size(), "CPU") + " may be used of " +
                number(std::max<std::size_t>(machine.cpus.size(), 1)) + " in this machine.");
  if (request.cpus.empty())
    return allowed;
  if (named.cpus.empty()) {
    why.emplace_back("None of the CPUs in lanes.cpus may be used by this process: ignored.");
    return allowed;
  }
  why.push_back("lanes.cpus keeps the lanes on " + count_of(named.cpus.size(), "CPU") + ".");
  return named;
}

std::size_t core_count(const std::vector<machine_cpu>& cpus) {
  std::set<int> cores;
  for (const auto& cpu : cpus)
    cores.insert(cpu.core);
  return cores.size();
}

// Takes CPUs one after the other: whole cores first, near a wanted node first, and the lowest CPU
// last, where kernels put their interrupts by default.
class cpu_stock {
 public:
  explicit cpu_stock(std::vector<machine_cpu> cpus) : free_(std::move(cpus)) {
    std::sort(free_.begin(), free_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    if (!free_.empty())
      std::rotate(free_.begin(), free_.begin() + 1, free_.end());
  }

  machine_cpu take(int wanted_node) {
    LANCE_CHECK(!free_.empty());
    auto best = free_.begin();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (rank(*it, wanted_node) < rank(*best, wanted_node))
        best = it;
    const auto cpu = *best;
    free_.erase(best);
    used_cores_.push_back(cpu.core);
    return cpu;
  }

  [[nodiscard]] bool alone(int core) const {
    return std::count(used_cores_.begin(), used_cores_.end(), core) == 1;
  }
  /// A physical core without any lane.
  [[nodiscard]] bool core_free() const {
    return std::any_of(free_.begin(), free_.end(), [this](const auto& cpu) {
      return std::count(used_cores_.begin(), used_cores_.end(), cpu.core) == 0;
    });
  }

 private:
  [[nodiscard]] int rank(const machine_cpu& cpu, int wanted_node) const {
    const bool shared = std::count(used_cores_.begin(), used_cores_.end(), cpu.core) > 0;
    return (shared ? 2 : 0) + (wanted_node >= 0 && cpu.node != wanted_node ? 1 : 0);
  }

  std::vector<machine_cpu> free_;
  std::vector<int> used_cores_;
};

struct counts {
  unsigned network = 1;
  unsigned ingest = 1; ///< shards
  unsigned io = 1;
  bool fused = true;
};

unsigned clamped(std::size_t value, std::size_t low, std::size_t high) {
  return static_cast<unsigned>(std::clamp(value, low, high));
}

counts chosen_counts(std::size_t cores, std::vector<std::string>& why) {
  counts n;
  if (cores <= 2) {
    why.push_back("With one or two cores a hop to another lane costs more than the work: network, "
                  "ingestion and I/O share one lane.");
    return n;
  }
  if (cores < separate_cores_min) {
    n.network = n.ingest = n.io = clamped(cores / 2, 1, shards_max);
    why.push_back("With fewer than " + number(separate_cores_min) +
                  " cores the stages of a shard share a lane; half of the cores stay free.");
    return n;
  }
  n.fused = false;
  n.network = n.ingest = n.io = clamped((cores - cores / 4) / 3, 1, shards_max);
  why.push_back("Every stage of a shard has a lane of its own; a quarter of the cores stays free.");
  return n;
}

// What was asked for; what was not follows from what was.
counts asked_counts(const placement_request& request, std::size_t budget,
                    std::vector<std::string>& why) {
  const auto first_of = [](unsigned a, unsigned b, unsigned c) { return a ? a : b ? b : c; };
  counts n;
  n.ingest = clamped(first_of(request.ingest, request.io, request.network), 1, shards_max);
  n.network = clamped(first_of(request.network, n.ingest, 1), 1, shards_max);
  n.io = clamped(first_of(request.io, n.ingest, 1), 1, shards_max);
  if (n.io > n.ingest) {
    n.io = n.ingest;
    why.push_back("An I/O lane serves whole shards: no more than " + number(n.ingest) + ".");
  }
  n.fused = budget <= 2 || n.network + n.ingest + n.io > budget;
  if (!n.fused) {
    why.push_back("Lanes as asked for: " + number(n.network) + " network, " + number(n.ingest) +
                  " ingest, " + number(n.io) + " I/O.");
    return n;
  }
  const auto lanes = budget <= 2 ? 1 : clamped(std::max(n.network, n.ingest), 1, budget);
  n.network = n.ingest = n.io = lanes;
  why.push_back("The lanes asked for do not fit " + count_of(budget, "CPU") +
                ": the stages of a shard share a lane, " + count_of(lanes, "lane") + " in all.");
  return n;
}

std::uint64_t buffer_memory(const machine& machine, const placement_request& request,
                            std::vector<std::string>& why) {
  const auto limit = machine.memory_limit_bytes > 0 ? machine.memory_limit_bytes : 256 * MiB;
  const auto quarter = limit / 4;
  if (request.memory_bytes == 0) {
    why.push_back("Buffers take at most a quarter of the " + number(limit / MiB) +
                  " MiB this process may use.");
    return quarter;
  }
  if (request.memory_bytes > quarter)
    why.push_back("io.buffer_bytes is more than a quarter of the memory this process may use: "
                  "cut to " +
                  number(quarter / MiB) + " MiB.");
  return std::min(request.memory_bytes, quarter);
}

void limit_by_memory(counts& n, std::uint64_t memory, std::vector<std::string>& why) {
  const auto fit = clamped(memory / shard_memory_min, 1, shards_max);
  if (std::max(n.ingest, n.network) <= fit)
    return;
  n.ingest = std::min(n.ingest, fit);
  n.network = std::min(n.network, fit);
  n.io = std::min(n.io, n.ingest);
  why.push_back("Memory for buffers bounds this to " + count_of(fit, "shard") + ".");
}

void explain_memory(const memory_plan& plan, std::uint64_t memory, std::vector<std::string>& why) {
  why.push_back("Buffers: " + number(plan.receive.total() / KiB) +
                " KiB to receive per network lane, " + number(plan.reply.total() / KiB) +
                " KiB to reply and " + number(plan.append.total() / KiB) +
                " KiB to append per shard, " + number(plan.total / MiB) + " MiB in all.");
  if (plan.total > memory)
    why.emplace_back("That is more than a quarter of the memory: it is the least LANCE runs with.");
}

enum class stage { network, ingest, io };

// Lays lanes out over the CPUs and remembers what each is.
class layout {
 public:
  layout(const machine& machine, const placement_request& request, std::vector<machine_cpu> cpus,
         bool pinned)
      : machine_(machine), request_(request), stock_(std::move(cpus)), pinned_(pinned) {}

  unsigned add(stage what, placement& plan) {
    lane_plan lane;
    if (pinned_) {
      const auto cpu = stock_.take(wanted_node(what));
      lane.cpu = cpu.id;
      lane.node = numa() ? cpu.node : -1;
      cores_.push_back(cpu.core);
    }
    stages_.push_back(what);
    plan.lanes.push_back(lane);
    return static_cast<unsigned>(plan.lanes.size() - 1);
  }

  void choose_idling(placement& plan, bool limited) const {
    const bool room = pinned_ && !limited && !plan.fused && stock_.core_free();
    if (request_.idle == idle_request::spin && !room)
      plan.why.emplace_back("lanes.idle = spin needs a pinned lane for each stage and a core "
                            "without a lane: the lanes park instead.");
    if (request_.idle == idle_request::park || !room)
      return;
    unsigned spinning = 0;
    for (std::size_t i = 0; i < plan.lanes.size(); ++i) {
      const bool wanted = request_.idle == idle_request::spin || stages_[i] == stage::io;
      if (!wanted || !stock_.alone(cores_[i]))
        continue;
      plan.lanes[i].idle = idle_policy::spin;
      ++spinning;
    }
    plan.why.push_back(count_of(spinning, "lane") + " of " + number(plan.lanes.size()) +
                       " never park: each has a core to itself and others are free.");
  }

 private:
  [[nodiscard]] bool numa() const noexcept { return request_.numa && machine_.node_count > 1; }
  [[nodiscard]] int wanted_node(stage what) const noexcept {
    if (!numa())
      return -1;
    const int near_nic = machine_.nic_node >= 0 ? machine_.nic_node : machine_.nvme_node;
    const int near_disk = machine_.nvme_node >= 0 ? machine_.nvme_node : machine_.nic_node;
    return what == stage::io ? near_disk : near_nic;
  }

  const machine& machine_;
  const placement_request& request_;
  cpu_stock stock_;
  bool pinned_;
  std::vector<stage> stages_;
  std::vector<int> cores_;
};

void lay_out(placement& plan, const counts& n, layout& lanes) {
  plan.fused = n.fused;
  if (n.fused) {
    for (unsigned i = 0; i < n.ingest; ++i) {
      const auto lane = lanes.add(stage::io, plan);
      plan.network_lanes.push_back(lane);
      plan.shards.push_back({lane, lane});
    }
    return;
  }
  // Shard by shard, so that the lanes of one shard come to lie near each other.
  std::vector<unsigned> io;
  for (unsigned i = 0; i < std::max({n.network, n.ingest, n.io}); ++i) {
    if (i < n.network)
      plan.network_lanes.push_back(lanes.add(stage::network, plan));
    if (i < n.ingest)
      plan.shards.push_back({lanes.add(stage::ingest, plan), 0});
    if (i < n.io)
      io.push_back(lanes.add(stage::io, plan));
  }
  for (std::size_t i = 0; i < plan.shards.size(); ++i)
    plan.shards[i].io_lane = io[i % io.size()];
}

void choose_workers(placement& plan, const machine& machine, std::size_t budget) {
  std::set<int> pinned;
  for (const auto& lane : plan.lanes)
    pinned.insert(lane.cpu);
  for (const auto& cpu : machine.cpus)
    if (cpu.allowed && !pinned.contains(cpu.id))
      plan.worker_cpus.push_back(cpu.id);
  if (plan.worker_cpus.empty())
    for (const auto& cpu : machine.cpus)
      if (cpu.allowed)
        plan.worker_cpus.push_back(cpu.id);
  const auto left = budget > plan.lanes.size() ? budget - plan.lanes.size() : 0;
  plan.workers = clamped(left, workers_min, workers_max);
}

} // namespace

placement place(const machine& machine, const placement_request& request) {
  LANCE_CHECK(request.chunk_bytes > 0);
  placement plan;
  const auto usable = usable_cpus(machine, request, plan.why);
  const auto cpu_count = usable.cpus.size();
  const bool limited = machine.cpu_quota > 0 && machine.cpu_quota < static_cast<double>(cpu_count);
  const auto granted =
      limited ? std::max<std::size_t>(1, static_cast<std::size_t>(machine.cpu_quota)) : cpu_count;
  if (limited)
    plan.why.push_back("The cgroup's quota, " + number(granted) +
                       " of these CPUs' time, bounds the lanes.");

  auto n = request.network + request.ingest + request.io > 0
               ? asked_counts(request, granted, plan.why)
               : chosen_counts(std::min(core_count(usable.cpus), granted), plan.why);
  const auto memory = buffer_memory(machine, request, plan.why);
  limit_by_memory(n, memory, plan.why);

  const bool pinned = usable.named || (!limited && cpu_count > 2);
  if (!pinned)
    plan.why.emplace_back(limited ? "A quota means CPUs shared with others: lanes are not pinned."
                                  : "With one or two CPUs the kernel balances better than a pin: "
                                    "the lane is not pinned.");

  layout lanes{machine, request, usable.cpus, pinned};
  lay_out(plan, n, lanes);
  lanes.choose_idling(plan, limited);
  choose_workers(plan, machine, granted);
  plan.memory = plan_memory(n.network, n.ingest, memory, request.chunk_bytes);
  explain_memory(plan.memory, memory, plan.why);
  return plan;
}

} // namespace lance::runtime
