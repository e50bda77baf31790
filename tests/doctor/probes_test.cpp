#include "actors/doctor/probes.hpp"

#include <cerrno>
#include <filesystem>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "actors/listener.hpp"
#include "storage/posix_disk.hpp"
#include "tests/doctor/made_tree.hpp"

namespace lance::actors::doctor {

namespace fs = std::filesystem;

TEST_CASE("the disk is measured within its bounds, and nothing is left behind") {
  const made_tree tree;
  const auto found = probe_disk(tree.root());
  CHECK(found.looked_at == tree.root());
  CHECK(found.error == 0);
  CHECK_FALSE(found.broker_runs);
  CHECK(found.total_bytes > found.free_bytes);
  CHECK(found.direct.has_value());
  CHECK(found.flushes >= 1);
  CHECK(found.flushes <= flushes_max);
  CHECK(found.flush_ns_p50 > 0);
  CHECK(found.flush_ns_p50 <= found.flush_ns_max);
  CHECK(fs::is_empty(tree.root()));
}

TEST_CASE("a directory that is not there yet is not made") {
  const made_tree tree;
  const auto found = probe_disk(tree.root() + "/not/yet");
  CHECK(found.looked_at == tree.root());
  CHECK(found.error == 0);
  CHECK(found.flushes >= 1);
  CHECK(fs::is_empty(tree.root()));
}

TEST_CASE("what is no directory cannot become one") {
  const made_tree tree;
  tree.file("/data", "a file");
  const auto found = probe_disk(tree.root() + "/data");
  CHECK(found.error == ENOTDIR);
  CHECK(found.flushes == 0);
}

TEST_CASE("a file system that takes no files at all says so") {
  const auto found = probe_disk("/proc/self");
  CHECK(found.error != 0);
  CHECK(found.flushes == 0);
}

TEST_CASE("a broker's lock is seen and not touched") {
  const made_tree tree;
  const auto door = storage::make_posix_disk({});
  auto held = door->lock(tree.root() + "/lance.lock");
  REQUIRE(held.has_value());
  CHECK(probe_disk(tree.root()).broker_runs);
  held->reset();
  CHECK_FALSE(probe_disk(tree.root()).broker_runs);
}

TEST_CASE("the clock is steady here") {
  CHECK(probe_clock().steady);
}

TEST_CASE("listeners: free, taken, not of this machine, and switched off") {
  std::string why;
  const auto held = listen_on("127.0.0.1:0", false, why);
  REQUIRE(held.has_value());
  config::config values;
  values.network.bind = "127.0.0.1:0";
  values.http.bind = held->address;
  values.metrics.bind = "192.0.2.1:9090"; // of a range that nobody has
  auto found = probe_listeners(values);
  REQUIRE(found.size() == 3);
  CHECK(found[0].key == "network.bind");
  CHECK(found[0].error == 0);
  CHECK(found[0].trouble.empty());
  CHECK(found[1].key == "http.bind");
  CHECK(found[1].error == EADDRINUSE);
  CHECK_FALSE(found[1].trouble.empty());
  CHECK(found[2].error == EADDRNOTAVAIL);
  ::close(held->descriptor);
  CHECK(probe_listeners(values)[1].error == 0); // the attempt itself leaves it free
  values.metrics.bind.clear();
  CHECK(probe_listeners(values).size() == 2);
}

TEST_CASE("an address leads to its interface, loopback and no address to none") {
  CHECK(interface_with("127.0.0.1:1992").empty());
  CHECK(interface_with("0.0.0.0:1992").empty());
  CHECK(interface_with("192.0.2.1:1992").empty());
}

} // namespace lance::actors::doctor
