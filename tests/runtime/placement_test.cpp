#include "runtime/placement.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <set>

using namespace lance;
using namespace lance::runtime;

namespace {

machine made(int cpus, int nodes = 1, int threads_per_core = 1, std::uint64_t memory = 16 * GiB) {
  machine m;
  for (int id = 0; id < cpus; ++id) {
    const int core = id / threads_per_core * threads_per_core;
    m.cpus.push_back({id, id * nodes / cpus, core, true});
  }
  m.memory_limit_bytes = memory;
  m.node_count = nodes;
  return m;
}

const machine_cpu& cpu_of(const machine& m, int id) {
  return *std::find_if(m.cpus.begin(), m.cpus.end(), [id](const auto& c) { return c.id == id; });
}

bool says(const placement& plan, const std::string& words) {
  return std::any_of(plan.why.begin(), plan.why.end(),
                     [&](const auto& why) { return why.find(words) != std::string::npos; });
}

// What holds for every machine and every wish.
void check_promises(const machine& m, const placement_request& request, const placement& plan) {
  const auto lanes = plan.lanes.size();
  REQUIRE(lanes >= 1);
  CHECK(lanes <= lanes_max);
  REQUIRE(!plan.network_lanes.empty());
  REQUIRE(!plan.shards.empty());
  CHECK(plan.shards.size() <= shards_max);
  std::set<unsigned> used;
  for (const auto lane : plan.network_lanes) {
    REQUIRE(lane < lanes);
    CHECK(used.insert(lane).second); // one network actor per network lane
  }
  for (const auto& shard : plan.shards) {
    REQUIRE(shard.ingest_lane < lanes);
    REQUIRE(shard.io_lane < lanes);
    CHECK((shard.ingest_lane == shard.io_lane) == plan.fused);
    used.insert(shard.ingest_lane);
    used.insert(shard.io_lane);
  }
  CHECK(used.size() == lanes); // no lane without work

  std::size_t allowed = 0;
  for (const auto& cpu : m.cpus)
    allowed += cpu.allowed ? 1 : 0;
  CHECK(lanes <= allowed);
  if (m.cpu_quota > 0)
    CHECK(lanes <= std::max<std::size_t>(1, static_cast<std::size_t>(m.cpu_quota)));
  if (allowed <= 2)
    CHECK(lanes == 1);

  std::set<int> pinned;
  std::map<int, int> lanes_on_core;
  for (const auto& lane : plan.lanes) {
    if (lane.cpu < 0) {
      CHECK(lane.idle == idle_policy::park);
      CHECK(lane.node == -1);
      continue;
    }
    CHECK(cpu_of(m, lane.cpu).allowed);
    CHECK(pinned.insert(lane.cpu).second);
    ++lanes_on_core[cpu_of(m, lane.cpu).core];
    if (lane.node >= 0)
      CHECK(lane.node == cpu_of(m, lane.cpu).node);
  }
  CHECK((pinned.empty() || pinned.size() == lanes));
  bool spins = false;
  for (const auto& lane : plan.lanes)
    if (lane.idle == idle_policy::spin) {
      spins = true;
      CHECK(lanes_on_core[cpu_of(m, lane.cpu).core] == 1);
      CHECK(request.idle != idle_request::park);
    }
  if (spins) { // interrupts, workers and the rest have a core that no lane holds
    CHECK_FALSE(plan.fused);
    CHECK(std::any_of(plan.worker_cpus.begin(), plan.worker_cpus.end(),
                      [&](int id) { return lanes_on_core[cpu_of(m, id).core] == 0; }));
  }

  CHECK(plan.workers >= workers_min);
  CHECK(plan.workers <= workers_max);
  CHECK(!plan.worker_cpus.empty());
  for (const int id : plan.worker_cpus)
    CHECK(cpu_of(m, id).allowed);

  const auto& memory = plan.memory;
  CHECK(memory.receive.count >= 1);
  CHECK(memory.reply.count >= 1);
  CHECK(memory.append.count >= 2);
  CHECK(memory.append.bytes == request.chunk_bytes);
  CHECK(memory.total == plan.network_lanes.size() * memory.receive.total() +
                            plan.shards.size() * (memory.reply.total() + memory.append.total()));
  if (m.memory_limit_bytes >= 192 * MiB)
    CHECK(memory.total <= m.memory_limit_bytes / 4);
  if (m.memory_limit_bytes >= 256 * MiB && request.memory_bytes == 0)
    CHECK(memory.largest_frame_bytes >= 16 * MiB);
  for (const auto& sentence : plan.why)
    CHECK(sentence.ends_with("."));
}

placement checked(const machine& m, const placement_request& request = {}) {
  const auto plan = place(m, request);
  check_promises(m, request, plan);
  return plan;
}

} // namespace

TEST_CASE("one and two CPUs get exactly one lane that parks") {
  for (const int cpus : {1, 2}) {
    const auto plan = checked(made(cpus));
    CHECK(plan.lanes.size() == 1);
    CHECK(plan.fused);
    CHECK(plan.lanes[0].idle == idle_policy::park);
    CHECK(plan.lanes[0].cpu == -1);
    placement_request greedy;
    greedy.network = greedy.ingest = greedy.io = 4;
    greedy.idle = idle_request::spin;
    const auto cut = checked(made(cpus), greedy);
    CHECK(cut.lanes.size() == 1);
    CHECK(says(cut, "lanes.idle = spin"));
  }
}

TEST_CASE("few cores fuse the stages of a shard") {
  const auto plan = checked(made(4));
  CHECK(plan.fused);
  CHECK(plan.lanes.size() == 2);
  CHECK(plan.lanes[0].cpu >= 1); // CPU 0 is left to interrupts
  CHECK(plan.lanes[1].cpu >= 1);
}

TEST_CASE("many cores give every stage a lane and let the I/O lanes spin") {
  const auto plan = checked(made(16));
  CHECK_FALSE(plan.fused);
  CHECK(plan.lanes.size() == 12);
  CHECK(plan.shards.size() == 4);
  CHECK(plan.network_lanes.size() == 4);
  for (const auto& shard : plan.shards) {
    CHECK(plan.lanes[shard.io_lane].idle == idle_policy::spin);
    CHECK(plan.lanes[shard.ingest_lane].idle == idle_policy::park);
  }
  CHECK(checked(made(128)).shards.size() == 32);
}

TEST_CASE("hardware threads are not mistaken for cores") {
  CHECK(checked(made(4, 1, 2)).lanes.size() == 1);
  const auto plan = checked(made(16, 1, 2));
  CHECK_FALSE(plan.fused);
  CHECK(plan.lanes.size() == 6);
}

TEST_CASE("lanes lie near the card and the disk") {
  auto m = made(32, 2);
  m.nic_node = 0;
  m.nvme_node = 1;
  const auto plan = checked(m);
  for (const auto lane : plan.network_lanes)
    CHECK(plan.lanes[lane].node == 0);
  for (const auto& shard : plan.shards)
    CHECK(plan.lanes[shard.io_lane].node == 1);
  placement_request request;
  request.numa = false;
  for (const auto& lane : checked(m, request).lanes)
    CHECK(lane.node == -1);
}

TEST_CASE("a quota bounds the lanes, unpins and parks them") {
  auto m = made(64);
  m.cpu_quota = 1.5;
  CHECK(checked(m).lanes.size() == 1);
  m.cpu_quota = 12;
  const auto plan = checked(m);
  CHECK(plan.lanes.size() == 9);
  for (const auto& lane : plan.lanes)
    CHECK(lane.cpu == -1);
  CHECK(says(plan, "quota"));
  m.cpu_quota = 0.1;
  CHECK(checked(m).lanes.size() == 1);
}

TEST_CASE("named CPUs are kept to, and forbidden ones are not used") {
  auto m = made(8);
  placement_request request;
  request.cpus = {5};
  const auto one = checked(m, request);
  REQUIRE(one.lanes.size() == 1);
  CHECK(one.lanes[0].cpu == 5);
  m.cpus[5].allowed = false;
  const auto none = checked(m, request);
  CHECK(says(none, "lanes.cpus may be used"));
  request.cpus = {4, 5, 6, 7};
  for (const auto& lane : checked(m, request).lanes)
    CHECK((lane.cpu == 4 || lane.cpu == 6 || lane.cpu == 7));
}

TEST_CASE("lanes asked for are given where they fit") {
  placement_request request;
  request.network = 1;
  request.ingest = 2;
  request.io = 1;
  const auto plan = checked(made(8), request);
  CHECK_FALSE(plan.fused);
  CHECK(plan.lanes.size() == 4);
  CHECK(plan.network_lanes.size() == 1);
  REQUIRE(plan.shards.size() == 2);
  CHECK(plan.shards[0].io_lane == plan.shards[1].io_lane);
  const auto tight = checked(made(3), request);
  CHECK(tight.fused);
  CHECK(tight.lanes.size() == 2);
  CHECK(says(tight, "do not fit"));
  request.io = 9;
  CHECK(says(checked(made(32), request), "no more than 2"));
  request.idle = idle_request::spin;
  for (const auto& lane : checked(made(32), request).lanes)
    CHECK(lane.idle == idle_policy::spin);
  request.idle = idle_request::park;
  for (const auto& lane : checked(made(32), request).lanes)
    CHECK(lane.idle == idle_policy::park);
}

TEST_CASE("small memory bounds the shards before it bounds the frames") {
  const auto small = checked(made(32, 1, 1, 256 * MiB));
  CHECK(small.shards.size() == 1);
  CHECK(small.memory.largest_frame_bytes >= 16 * MiB);
  const auto large = checked(made(2, 1, 1, 64 * GiB));
  CHECK(large.memory.total <= shard_memory_max);
  placement_request request;
  request.memory_bytes = shard_memory_min;
  CHECK(checked(made(2), request).memory.total <= shard_memory_min);
  request.memory_bytes = GiB;
  CHECK(says(checked(made(2, 1, 1, 512 * MiB), request), "io.buffer_bytes"));
}

TEST_CASE("a machine that tells nothing still gets a plan") {
  const auto plan = place({}, {});
  CHECK(plan.lanes.size() == 1);
  CHECK(plan.memory.total <= 64 * MiB);
}

TEST_CASE("the promises hold over a random sweep of machines and wishes") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random{seed};
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 2000; ++round) {
    auto m = made(1 + below(128), 1 + below(4), 1 + below(2), (64ULL << below(10)) * MiB);
    INFO("round " << round << ", " << m.cpus.size() << " CPUs");
    if (below(3) == 0)
      for (auto& cpu : m.cpus)
        cpu.allowed = below(2) == 0;
    m.cpus[static_cast<std::size_t>(below(static_cast<int>(m.cpus.size())))].allowed = true;
    if (below(3) == 0)
      m.cpu_quota = 0.1 * (1 + below(1280));
    m.nic_node = below(5) - 1;
    m.nvme_node = below(5) - 1;
    placement_request request;
    if (below(2) == 0) {
      request.network = static_cast<unsigned>(below(12));
      request.ingest = static_cast<unsigned>(below(12));
      request.io = static_cast<unsigned>(below(12));
    }
    request.idle = static_cast<idle_request>(below(3));
    for (int i = below(3) == 0 ? below(20) : 0; i > 0; --i)
      request.cpus.push_back(below(140));
    checked(m, request);
  }
}
