#include "storage/data_dir.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

node_identity fresh() {
  return {node_id{3}, "", "11111111-2222-3333-4444-555555555555", 0};
}

} // namespace

TEST_CASE("node.json goes to text and back", "[data_dir]") {
  node_identity identity = fresh();
  identity.cluster_uuid = "c";
  identity.incarnation = 12;
  const auto back = identity_from_json(to_json(identity));
  REQUIRE(back);
  CHECK(*back == identity);
}

TEST_CASE("what is no node.json of ours is refused", "[data_dir]") {
  for (const auto* text :
       {"", "{", "{}", "[]", "{\"format_version\": 1}", "{\"format_version\": \"1\"}",
        "{\"format_version\": 1, \"node_id\": 70000, \"cluster_uuid\": \"\", \"node_uuid\": \"x\", "
        "\"incarnation\": 1}",
        "{\"format_version\": 1,, \"node_id\": 1}"}) {
    INFO(text);
    CHECK(identity_from_json(text).error().code == errc::bad_format);
  }
  const auto newer = identity_from_json("{\"format_version\": 2, \"anything\": 1}");
  CHECK(newer.error() == error{errc::unsupported, 2});
}

TEST_CASE("a data directory keeps its identity and counts its starts", "[data_dir]") {
  sim_disk door;
  std::string why;
  {
    const auto first = data_dir::open(door, "data", fresh(), why);
    REQUIRE(first);
    CHECK((*first)->identity().incarnation == 1);
    REQUIRE((*first)->set_cluster_uuid("cluster"));
  }
  door.crash();
  auto other = fresh();
  other.node_uuid = "another";
  const auto second = data_dir::open(door, "data", other, why);
  REQUIRE(second);
  CHECK((*second)->identity().node_uuid == fresh().node_uuid);
  CHECK((*second)->identity().cluster_uuid == "cluster");
  CHECK((*second)->identity().incarnation == 2);
}

TEST_CASE("one process per data directory", "[data_dir]") {
  sim_disk door;
  std::string why;
  const auto first = data_dir::open(door, "data", fresh(), why);
  REQUIRE(first);
  const auto second = data_dir::open(door, "data", fresh(), why);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == errc::closed);
  CHECK(why.find("another process") != std::string::npos);
}

TEST_CASE("unknown versions, damage and other nodes are refused, and nothing is touched",
          "[data_dir]") {
  sim_disk door;
  std::string why;
  REQUIRE(data_dir::open(door, "data", fresh(), why));
  const auto put = [&](std::string_view text) {
    REQUIRE(write_file_atomically(door, "data/node.json", as_bytes(text)));
  };
  put("{\"format_version\": 9}");
  CHECK(data_dir::open(door, "data", fresh(), why).error().code == errc::unsupported);
  CHECK(why.find("version 9") != std::string::npos);
  CHECK(*read_small_file(door, "data/node.json", 100) == "{\"format_version\": 9}");
  put("rubbish");
  CHECK(data_dir::open(door, "data", fresh(), why).error().code == errc::bad_format);
  auto someone = fresh();
  someone.id = node_id{4};
  put(to_json(someone));
  CHECK(data_dir::open(door, "data", fresh(), why).error().code == errc::invalid_request);
  CHECK(why.find("node 4") != std::string::npos);
}

TEST_CASE("a small file is the old or the new one after a crash at any moment", "[data_dir]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    sim_disk door{seed};
    REQUIRE(door.make_directories("d"));
    REQUIRE(write_file_atomically(door, "d/f", as_bytes("old")));
    const bool failing = seed % 2 == 0;
    if (failing)
      door.faults.flush_in = static_cast<unsigned>(seed / 2 % 2);
    const auto written = write_file_atomically(door, "d/f", as_bytes("newer"));
    door.crash();
    const auto text = read_small_file(door, "d/f", 100);
    INFO("seed " << seed);
    REQUIRE(text);
    CHECK((*text == "newer" || (!written && *text == "old")));
  }
}

TEST_CASE("the logs of unknown topics are set aside, durably and whole", "[data_dir]") {
  sim_disk door;
  std::string why;
  const auto home = data_dir::open(door, "data", fresh(), why);
  REQUIRE(home);
  const std::vector<std::string> known{"kept", "__meta"};
  CHECK((*home)->set_aside_unknown(known)->empty());
  const auto put = [&](const std::string& topic, std::string_view text) {
    const auto directory = (*home)->log_directory(topic, 0);
    REQUIRE(door.make_directories(directory));
    REQUIRE(write_file_atomically(door, directory + "/file", as_bytes(text)));
  };
  put("kept", "mine");
  put("lost", "one");
  REQUIRE(door.make_directories("data/segments/empty"));
  REQUIRE(door.sync_directory("data/segments"));
  CHECK(*(*home)->set_aside_unknown(known) ==
        std::vector<std::string>{"data/quarantine/topic-lost-0"});
  put("lost", "another");
  CHECK(*(*home)->set_aside_unknown(known) ==
        std::vector<std::string>{"data/quarantine/topic-lost-1"});
  door.crash();
  CHECK(*read_small_file(door, "data/segments/kept/0/file", 100) == "mine");
  CHECK(*read_small_file(door, "data/quarantine/topic-lost-0/0/file", 100) == "one");
  CHECK(*read_small_file(door, "data/quarantine/topic-lost-1/0/file", 100) == "another");
  CHECK_FALSE(door.exists("data/segments/lost"));
}

TEST_CASE("a log's directory is removed whole, also when the removal was cut short", "[data_dir]") {
  sim_disk door;
  std::string why;
  auto data = *data_dir::open(door, "data", fresh(), why);
  const auto directory = data->log_directory("orders", 0);
  REQUIRE(door.make_directories(directory));
  REQUIRE(door.open(directory + "/a.lnc", {.create = true}));
  REQUIRE(data->remove_directory("data/segments/orders"));
  CHECK_FALSE(door.exists("data/segments/orders"));
  CHECK(door.list("data/trash")->empty());

  REQUIRE(door.make_directories("data/trash/0/0"));
  REQUIRE(door.open("data/trash/0/0/b.lnc", {.create = true}));
  data.reset();
  REQUIRE(data_dir::open(door, "data", fresh(), why));
  CHECK(door.list("data/trash")->empty());
}
