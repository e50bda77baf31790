#include "storage/ballast.hpp"

#include <cstdlib>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "sim_disk.hpp"
#include "storage/data_dir.hpp"
#include "storage/posix_disk.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

TEST_CASE("the ballast takes real blocks and gives them back", "[ballast]") {
  sim_disk door;
  door.capacity = 20 * MiB;
  REQUIRE(door.make_directories("data"));
  ballast reserve{door, "data", 8 * MiB};
  CHECK_FALSE(reserve.held());
  REQUIRE(reserve.make());
  CHECK(reserve.held_bytes() == 8 * MiB);
  CHECK(door.space("data")->free_bytes == 12 * MiB);
  REQUIRE(reserve.make()); // it is there
  CHECK(door.space("data")->free_bytes == 12 * MiB);
  REQUIRE(reserve.release());
  CHECK_FALSE(reserve.held());
  CHECK(door.space("data")->free_bytes == 20 * MiB);
  CHECK_FALSE(door.exists("data/ballast"));
  REQUIRE(reserve.release()); // it is not
}

TEST_CASE("a ballast that does not fit leaves nothing behind", "[ballast]") {
  sim_disk door;
  door.capacity = 4 * MiB;
  REQUIRE(door.make_directories("data"));
  ballast reserve{door, "data", 8 * MiB};
  const auto made = reserve.make();
  REQUIRE_FALSE(made);
  CHECK(no_space(made.error()));
  CHECK_FALSE(reserve.held());
  CHECK_FALSE(door.exists("data/ballast"));
}

TEST_CASE("a ballast is taken over from the process before, unless its size changed", "[ballast]") {
  sim_disk door;
  REQUIRE(door.make_directories("data"));
  REQUIRE(ballast{door, "data", 8 * MiB}.make());
  door.crash();
  CHECK(ballast{door, "data", 8 * MiB}.held());
  CHECK_FALSE(ballast{door, "data", 4 * MiB}.held());
  CHECK_FALSE(door.exists("data/ballast"));
  REQUIRE(ballast{door, "data", 4 * MiB}.make());
  CHECK_FALSE(ballast{door, "data", 0}.held());
  CHECK_FALSE(door.exists("data/ballast"));
}

TEST_CASE("the ballast's blocks are real on this machine's disk, too", "[ballast]") {
  char here[] = "/var/tmp/lance-ballast-XXXXXX";
  REQUIRE(::mkdtemp(here) != nullptr);
  const auto door = make_posix_disk({});
  ballast reserve{*door, here, 3 * MiB};
  REQUIRE(reserve.make());
  struct stat facts {};
  REQUIRE(::stat((std::string{here} + "/ballast").c_str(), &facts) == 0);
  CHECK(static_cast<std::uint64_t>(facts.st_blocks) * 512 >= 3 * MiB);
  REQUIRE(reserve.release());
  CHECK(::rmdir(here) == 0);
}

TEST_CASE("a full disk can be started: reserves make room for node.json", "[ballast]") {
  sim_disk door;
  node_identity fresh;
  fresh.id = node_id{3};
  fresh.node_uuid = "11111111-1111-4111-8111-111111111111";
  std::string explanation;
  REQUIRE(data_dir::open(door, "data", fresh, explanation));
  const auto fill = [&] { door.capacity = door.used(); };

  SECTION("by the ballast") {
    REQUIRE(ballast{door, "data", 1 * MiB}.make());
    fill();
    const auto again = data_dir::open(door, "data", fresh, explanation);
    REQUIRE(again);
    CHECK((*again)->identity().incarnation == 2);
    CHECK_FALSE(door.exists("data/ballast"));
  }
  SECTION("by the spare of a log") {
    REQUIRE(door.make_directories("data/segments/t/0"));
    const auto spare = door.open("data/segments/t/0/next.spare", {.create = true});
    REQUIRE((*spare)->allocate(1 * MiB));
    fill();
    REQUIRE(data_dir::open(door, "data", fresh, explanation));
    CHECK_FALSE(door.exists("data/segments/t/0/next.spare"));
  }
  SECTION("else it says so, and changes nothing") {
    fill();
    const auto before = door.content("data/node.json");
    const auto again = data_dir::open(door, "data", fresh, explanation);
    REQUIRE_FALSE(again);
    CHECK(no_space(again.error()));
    CHECK(explanation.find("the disk is full") != std::string::npos);
    CHECK(door.content("data/node.json") == before);
  }
  SECTION("and reserves stay where there is room") {
    REQUIRE(ballast{door, "data", 1 * MiB}.make());
    REQUIRE(data_dir::open(door, "data", fresh, explanation));
    CHECK(door.exists("data/ballast"));
  }
}
