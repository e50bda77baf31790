// A node with which nothing is wrong: each test spoils what it is about.
#pragma once

#include "actors/doctor/facts.hpp"
#include "config/load.hpp"

namespace lance::actors::doctor {

inline facts facts_of_a_good_node() {
  facts known;
  known.wanted = config::load_text("[node]\ndata_dir = \"/var/lib/lance\"\n", "good.toml");
  auto& machine = known.chosen.machine;
  for (int id = 0; id < 4; ++id)
    machine.cpus.push_back({id, 0, id, true});
  machine.memory_limit_bytes = 8 * GiB;
  auto& plan = known.chosen.plan;
  plan.lanes = {{1, 0, runtime::idle_policy::park}, {2, 0, runtime::idle_policy::park}};
  plan.network_lanes = {0};
  plan.shards = {{0, 1}};
  plan.fused = false;
  plan.memory.total = 192 * MiB;
  auto& can = known.chosen.capabilities;
  can.available = can.single_issuer = can.multishot_accept = can.multishot_receive =
      can.registered_buffers = true;
  known.chosen.use_uring = true;
  known.kernel.release = "6.1.0-18-amd64";
  known.kernel.io_uring_disabled = 0;
  known.kernel.seccomp = 0;
  known.kernel.locked_memory = limit{};
  known.kernel.open_files = limit{65'536, 65'536};
  known.kernel.backlog_max = 4096;
  known.kernel.huge_pages = "madvise";
  known.kernel.clock_source = "tsc";
  known.clock.synchronised = true;
  known.clock.error_us_max = 4000;
  known.disk.looked_at = "/var/lib/lance";
  known.disk.file_system = "xfs";
  known.disk.direct = true;
  known.disk.total_bytes = 100 * GiB;
  known.disk.free_bytes = 60 * GiB;
  known.disk.total_inodes = 1'000'000;
  known.disk.free_inodes = 900'000;
  known.disk.flushes = 200;
  known.disk.flush_ns_p50 = 220 * us_in_ns;
  known.disk.flush_ns_max = 2 * ms_in_ns;
  known.governors = {{0, "performance"}, {1, "performance"}};
  known.node_distances = {{10}};
  known.card = {"eth0", {{24, "eth0-rx-0", {0}}, {25, "eth0-rx-1", {3}}}, false};
  known.listeners = {{"network.bind", "127.0.0.1:1992", 0, {}},
                     {"http.bind", "127.0.0.1:8080", 0, {}}};
  known.tls_seconds_left = 90 * 24 * 3600;
  known.wanted.values.tls.cert = "/etc/lance/tls.crt";
  known.wanted.values.auth.enabled = true;
  return known;
}

} // namespace lance::actors::doctor
