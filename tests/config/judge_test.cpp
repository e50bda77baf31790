#include "config/judge.hpp"

#include <catch2/catch.hpp>

#include "config/keys.hpp"

using namespace lance;
using namespace lance::config;

namespace {

void refuses(const std::string& text, const std::string& words) {
  const auto loaded = load_text(text, "l.toml");
  INFO(text);
  REQUIRE(loaded.errors.size() == 1);
  INFO(loaded.errors[0]);
  CHECK(loaded.errors[0].find(words) != std::string::npos);
}

void notes(const std::string& text, const std::string& words) {
  const auto loaded = load_text(text, "l.toml");
  INFO(text);
  CHECK(loaded.ok());
  REQUIRE(loaded.notices.size() == 1);
  INFO(loaded.notices[0]);
  CHECK(loaded.notices[0].find(words) != std::string::npos);
}

} // namespace

TEST_CASE("impossible pairs are refused with their line and a way out") {
  refuses("[io]\nbatch_size = 100000", "l.toml:2: io.batch_size must be a multiple of 4KiB");
  refuses("[io]\nsegment_bytes = 100000001", "io.segment_bytes must be a multiple of 4KiB");
  refuses("[io]\npreallocate = \"1GiB\"", "must not be larger than io.segment_bytes");
  refuses("[io]\nbuffer_bytes = \"8MiB\"", "at least 48MiB");
  refuses("[io]\nbuffer_bytes = \"64MiB\"\ntail_cache_bytes = \"32MiB\"",
          "l.toml:3: io.tail_cache_bytes must be at most a quarter");
  refuses("[disk]\nwarn = 0.96", "disk.warn must be below disk.stop_writes");
  refuses("[lanes]\ncpus = [1, 2, 1]", "names a CPU twice");
  refuses("[network]\nidle_timeout_ms = 1000", "at least 300000");
  refuses("[http]\nbind = \"127.0.0.1:1992\"", "http.bind is the same address as network.bind");
  refuses("[lanes]\nnetwork = 32\ningest = 32\nio = 32\n[cluster]\nheartbeat_ms = 500",
          "cluster.heartbeat_ms must be less than half");
  refuses("[groups]\nheartbeat_ms = \"15s\"", "groups.heartbeat_ms must be less than half");
}

TEST_CASE("listeners whose port the kernel chooses do not collide") {
  CHECK(load_text("[network]\nbind = \"127.0.0.1:0\"\n[http]\nbind = \"127.0.0.1:0\"\n"
                  "[metrics]\nbind = \"\"",
                  "l.toml")
            .ok());
}

TEST_CASE("L2 and what it implies is refused while there is no replication") {
  refuses("[replication]\nmode = \"L2\"",
          "L2\" needs peers and replication, which this build does not have: use \"L1\"");
  refuses("[replication]\npeers = [\"a:1\"]", "set replication.mode = \"L1\"");
  refuses("[replication]\nmode = \"l1\"", "did you mean \"L1\"?");
  refuses("[replication]\nmode = \"L4\"", "takes one of \"L1\", \"L2\"");
  const auto loaded = load_text("[replication]\nmode = \"L3\"", "l.toml");
  CHECK(loaded.values.replication.mode == ack_mode::l2);
  REQUIRE(loaded.notices.size() == 1);
  CHECK(loaded.notices[0] == "l.toml:2: replication.mode = \"L3\" is read as \"L2\"");
  CHECK(loaded.errors.size() == 1);
}

TEST_CASE("what promises protection and is not built refuses to start") {
  refuses("[tee]\nenabled = true", "tee.enabled needs the tee");
  for (const auto& key : keys())
    if (key.section == "tee")
      CHECK(key.today == state::refused);
}

TEST_CASE("what only tunes something not built yet is noticed") {
  notes("[groups]\npartitions = 4", "groups.partitions has no effect: consumer groups");
  notes("[cluster]\nevict_ms = 20", "cluster.evict_ms has no effect: replication");
  notes("[network]\nadvertised = \"lance:1992\"", "network.advertised has no effect");
}

TEST_CASE("listeners beyond loopback are pointed out") {
  notes("[network]\nbind = \"[::]:1992\"", "open to the network");
  notes("[metrics]\nbind = \"10.0.0.7:9090\"", "metrics.bind");
  CHECK(load_text("[network]\nbind = \"[::1]:1992\"", "l.toml").notices.empty());
}

TEST_CASE("hardware that is not there is noticed, not fatal") {
  config::config values;
  runtime::machine machine;
  machine.cpus = {{0, 0, 0, true}, {1, 0, 1, false}};
  CHECK(absent_hardware(values, machine).empty());
  values.network.nic_pci_addr = "0000:3b:00.0";
  values.numa.nic_node = 1;
  values.numa.nvme_node = 0;
  values.lanes.cpus = {0, 1, 2};
  const auto notices = absent_hardware(values, machine);
  REQUIRE(notices.size() == 4);
  CHECK(notices[0].find("network.nic_pci_addr = \"0000:3b:00.0\"") == 0);
  CHECK(notices[1].find("numa.nic_node = 1") == 0);
  CHECK(notices[2].find("CPU 1") != std::string::npos);
  CHECK(notices[3].find("CPU 2") != std::string::npos);
  machine.nic_found = true;
  machine.node_count = 2;
  values.lanes.cpus.clear();
  CHECK(absent_hardware(values, machine).empty());
}
