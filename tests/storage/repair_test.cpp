#include "storage/repair.hpp"

#include <catch2/catch.hpp>

#include "segment_of_batches.hpp"
#include "sim_disk.hpp"
#include "storage/examine.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

constexpr auto directory = "data/segments/t/0";

// A log of a closed and a closed or active segment, made and left by a bench.
struct world {
  explicit world(bool close = true) {
    setup how;
    how.pool_buffers = 700;
    log_bench bench{door, how, [this] { return door.step(); }};
    REQUIRE(bench.open());
    for (const auto size : {1000UL, 5000UL, 15 * MiB, 15 * MiB, 3000UL, 2000UL, 10 * MiB, 100UL}) {
      const auto payload = payload_of(bench.front().next_number().value, size);
      ends.push_back((ends.empty() ? 0 : ends.back()) + size);
      stream.insert(stream.end(), payload.begin(), payload.end());
      bench.append_durably(1, size);
    }
    bench.settle();
    for (int i = 0; i < 20; ++i)
      bench.tick(), bench.settle();
    if (close)
      bench.close();
  }

  std::vector<std::string> segments() {
    std::vector<std::string> paths;
    const auto names = door.list(directory);
    for (const auto& name : *names)
      if (name.ends_with(".lnc"))
        paths.push_back(layout::join(directory, name));
    return paths;
  }
  void turn(const std::string& path, std::uint64_t at) {
    const auto byte = door.content(path)[at] ^ std::byte{4};
    door.overwrite(path, at, {&byte, 1});
  }
  // Every batch of the log is as it was appended, but for those whose numbers are given.
  void check_all_but(std::vector<std::uint64_t> lost) {
    setup how;
    log_bench bench{door, how, [this] { return door.step(); }};
    REQUIRE(bench.open());
    CHECK(bench.log().state() == log_state::open);
    CHECK(bench.log().durable_end() == byte_offset{stream.size()});
    CHECK(bench.log().durable_next() == batch_number{ends.size() + 1});
    for (std::size_t n = 1; n <= ends.size(); ++n) {
      const auto begin = n == 1 ? 0 : ends[n - 2];
      const auto got = bench.read_bytes(begin, ends[n - 1] - begin);
      if (std::find(lost.begin(), lost.end(), n) != lost.end()) {
        REQUIRE_FALSE(got);
        CHECK(got.error().code == errc::corrupt);
      } else {
        REQUIRE(got);
        CHECK(std::equal(got->begin(), got->end(),
                         stream.begin() + static_cast<std::ptrdiff_t>(begin)));
      }
    }
    CHECK(bench.log().damage().size() == 0); // lost ones are no news
    bench.append_durably(1, 500);            // and the log goes on
    CHECK(bench.log().durable_next() == batch_number{ends.size() + 2});
  }

  sim_disk door{5};
  std::vector<std::byte> stream;
  std::vector<std::uint64_t> ends; // of each batch
};

} // namespace

TEST_CASE("what is whole needs no repair", "[repair]") {
  world here;
  for (const auto& path : here.segments()) {
    const auto plan = plan_repair(here.door, path);
    REQUIRE(plan);
    CHECK(plan->need == repair_need::none);
    CHECK(plan->lost.empty());
  }
  CHECK(plan_repair(here.door, "data/node.json").error().code == errc::bad_format);
}

TEST_CASE("a damaged batch becomes a lost one in its place, and all others stay where they were",
          "[repair]") {
  world here;
  const auto path = here.segments().front();
  const bool in_header = GENERATE(true, false);
  const auto position = 1112U; // of the second batch
  here.turn(path, position + (in_header ? 50 : batch_header_bytes + 77));
  const auto original = here.door.content(path);

  const auto plan = plan_repair(here.door, path);
  REQUIRE(plan);
  REQUIRE(plan->need == repair_need::data);
  CHECK(plan->lost ==
        std::vector{damaged_batch{batch_number{2}, byte_offset{1000}, byte_offset{6000}}});
  CHECK(here.door.content(path) == original); // planning changes nothing

  const auto kept = repair(here.door, *plan, "data/quarantine");
  REQUIRE(kept);
  CHECK(here.door.content(*kept) == original);
  const auto examined = examine(here.door, path);
  REQUIRE(examined);
  CHECK(examined->state == segment_state::ok);
  CHECK(examined->index == index_state::ok);
  CHECK(plan_repair(here.door, path)->need == repair_need::none);
  here.check_all_but({2});
}

TEST_CASE("several damaged batches, and the first and the last of a segment", "[repair]") {
  world here;
  const auto path = here.segments().front();
  const auto found = examine(here.door, path);
  REQUIRE(found);
  REQUIRE(found->batches.size() >= 3);
  const auto last = found->batches.back();
  here.turn(path, 20);
  here.turn(path, last.position + batch_header_bytes + 100);
  const auto plan = plan_repair(here.door, path);
  REQUIRE(plan);
  REQUIRE(repair(here.door, *plan, "data/quarantine"));
  here.check_all_but({1, last.header.number.value});
}

TEST_CASE("without an index the hole is filled up to the next segment", "[repair]") {
  world here;
  const auto path = here.segments().front();
  const auto count = examine(here.door, path)->batches.size();
  REQUIRE(here.door.remove(layout::join(
      directory,
      layout::index_name(
          {batch_number{1}, layout::parse(path.substr(path.rfind('/') + 1)).segment.first_ns}))));
  here.turn(path, 1112 + 30);
  const auto plan = plan_repair(here.door, path);
  REQUIRE(plan);
  REQUIRE(plan->need == repair_need::data);
  CHECK_FALSE(plan->cut);
  REQUIRE(repair(here.door, *plan, "data/quarantine"));
  std::vector<std::uint64_t> lost;
  for (std::uint64_t n = 2; n <= count; ++n)
    lost.push_back(n);
  CHECK(examine(here.door, path)->state == segment_state::ok);
  setup how;
  log_bench bench{here.door, how, [&] { return here.door.step(); }};
  REQUIRE(bench.open());
  CHECK(bench.log().state() == log_state::open);
  CHECK(bench.log().durable_end() == byte_offset{here.stream.size()});
  CHECK(bench.read_bytes(0, 1000));
  CHECK(bench.read_bytes(3000, 10).error().code == errc::corrupt);
  const auto behind = here.ends[count - 1];
  const auto got = bench.read_bytes(behind, 1000);
  REQUIRE(got);
  CHECK(std::equal(got->begin(), got->end(),
                   here.stream.begin() + static_cast<std::ptrdiff_t>(behind)));
}

TEST_CASE("without index and follower the log ends before the damage", "[repair]") {
  world here;
  const auto path = here.segments().back();
  const auto before = *examine(here.door, path);
  REQUIRE(before.batches.size() >= 2);
  REQUIRE(here.door.remove(layout::join(directory, layout::index_name(before.segment))));
  here.turn(path, before.batches[1].position + 30);
  const auto plan = plan_repair(here.door, path);
  REQUIRE(plan);
  REQUIRE(plan->need == repair_need::data);
  CHECK(plan->cut);
  CHECK(plan->end_offset == before.batches[0].header.end_offset());
  REQUIRE(repair(here.door, *plan, "data/quarantine"));
  setup how;
  log_bench bench{here.door, how, [&] { return here.door.step(); }};
  REQUIRE(bench.open());
  CHECK(bench.log().state() == log_state::open);
  CHECK(bench.log().durable_end() == plan->end_offset);
}

TEST_CASE("a segment of which nothing is whole is left alone", "[repair]") {
  world here;
  const auto path = here.segments().back();
  const auto id = layout::parse(path.substr(path.rfind('/') + 1)).segment;
  REQUIRE(here.door.remove(layout::join(directory, layout::index_name(id))));
  here.turn(path, 30);
  const auto plan = plan_repair(here.door, path);
  REQUIRE(plan);
  CHECK(plan->need == repair_need::impossible);
}

TEST_CASE("a damaged index alone is written anew", "[repair]") {
  world here;
  const auto path = here.segments().front();
  const auto index = examine(here.door, path)->index_path();
  const auto sound = here.door.content(index);
  here.turn(index, GENERATE(3, 70, 130));
  const auto plan = plan_repair(here.door, path);
  REQUIRE(plan);
  REQUIRE(plan->need == repair_need::index);
  REQUIRE(repair(here.door, *plan, "data/quarantine") == std::string{});
  CHECK(here.door.content(index) == sound);
}

TEST_CASE("an active segment is repaired below what its index vouches for", "[repair]") {
  world here{false};
  const auto path = here.segments().back();
  const auto found = examine(here.door, path);
  REQUIRE(found);
  REQUIRE_FALSE(found->closed);
  REQUIRE(found->batches.size() >= 2);
  const auto first = found->batches.front();
  here.turn(path, first.position + batch_header_bytes + 5);
  const auto plan = plan_repair(here.door, path);
  REQUIRE(plan);
  REQUIRE(plan->need == repair_need::data);
  REQUIRE(plan->lost.size() == 1);
  REQUIRE(repair(here.door, *plan, "data/quarantine"));
  here.check_all_but({first.header.number.value});
}
