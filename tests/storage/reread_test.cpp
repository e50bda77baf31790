#include "storage/reread.hpp"

#include <catch2/catch.hpp>

#include <vector>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/layout.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

TEST_CASE("the budget is never overdrawn, and shares give theirs back", "[reread]") {
  reread_budget budget{100};
  REQUIRE(budget.take(60));
  {
    reread_share first{budget, 60};
    CHECK_FALSE(budget.take(41));
    REQUIRE(budget.take(40));
    reread_share second{budget, 40};
    CHECK(budget.used() == 100);
    second = {};
    CHECK(budget.used() == 60);
    reread_share moved{std::move(first)};
    CHECK(budget.used() == 60);
  }
  CHECK(budget.used() == 0);
  CHECK_FALSE(budget.take(~std::uint64_t{0}));
}

TEST_CASE("hot is what was read twice without a long pause", "[reread]") {
  reread_habit habit;
  CHECK_FALSE(habit.hot(100));
  for (int i = 0; i < 19; ++i)
    habit.read(10, 1);
  CHECK_FALSE(habit.hot(100));
  habit.read(10, reread_habit::pause_ns);
  CHECK(habit.hot(100));
  CHECK_FALSE(habit.idle(2 * reread_habit::pause_ns - 1));
  CHECK(habit.idle(2 * reread_habit::pause_ns));
  habit.read(10, 2 * reread_habit::pause_ns); // after the pause all is forgotten
  CHECK_FALSE(habit.hot(100));
  habit.read(1000, 2 * reread_habit::pause_ns);
  CHECK(habit.hot(100));
  habit.distrust();
  CHECK_FALSE(habit.hot(100));
}

namespace {

// Three closed segments, two of them open at a time, nothing of which is in memory.
struct world {
  world() : bench(door, roomy(), [this] { return door.step(); }) {
    bench.environment().reread = &budget;
    REQUIRE(bench.open());
    for (int i = 0; i < 3; ++i) {
      bench.append_durably(40, 20'000);
      bench.end_segment();
    }
    bench.cache().shrink_to(0);
    bench.stop();
    REQUIRE(bench.open());
  }
  static setup roomy() {
    setup how;
    how.chosen.open_segments = 2;
    return how;
  }
  /// How much of it came through the page cache.
  std::uint64_t read_segment(unsigned which) {
    const auto before = door.buffered_read_bytes;
    for (unsigned i = 0; i < 40; ++i) {
      const auto number = which * 40 + i + 1;
      const auto got = bench.read_bytes((number - 1) * 20'000, 20'000);
      REQUIRE(got);
      REQUIRE(*got == payload_of(number, 20'000));
    }
    return door.buffered_read_bytes - before;
  }
  std::uint64_t file_bytes() { return bench.log().segment_at(0).file_bytes; }

  reread_budget budget{1 * MiB};
  sim_disk door{5};
  log_bench bench;
};

} // namespace

TEST_CASE("a closed segment that is read again and again comes through the page cache",
          "[reread]") {
  world here;
  CHECK(here.read_segment(0) == 0);
  (void)here.read_segment(0); // reads are longer than batches: hot somewhere in the second pass
  CHECK(here.read_segment(0) >= here.file_bytes());
  CHECK(here.budget.used() == here.file_bytes());
  SECTION("until nobody has for a while") {
    here.bench.tick();
    CHECK(here.budget.used() == here.file_bytes());
    here.bench.clock.advance_ns(reread_habit::pause_ns);
    here.bench.tick();
    CHECK(here.budget.used() == 0);
    CHECK(here.read_segment(0) == 0);
  }
  SECTION("or others are read instead") {
    CHECK(here.read_segment(2) == 0);
    CHECK(here.budget.used() == 0);
  }
  SECTION("or it is dropped") {
    REQUIRE(here.bench.log().drop_segments_before(batch_number{41}));
    CHECK(here.budget.used() == 0);
  }
  SECTION("what the page cache gets wrong is read from the device, which it is then for good") {
    here.door.faults.page_cache_rotted = true;
    CHECK(here.read_segment(0) > 0);
    CHECK(here.bench.log().damage().size() == 0);
    CHECK(here.read_segment(0) == 0);
  }
  SECTION("damage on the device is found through it") {
    const auto facts = here.bench.log().segment_at(0);
    const auto path = "data/segments/t/0/" + layout::closed_name(facts.id, facts.last_ns);
    const auto byte = here.door.content(path)[5000] ^ std::byte{4};
    here.door.overwrite(path, 5000, {&byte, 1});
    CHECK(here.bench.read_bytes(100, 1000).error().code == errc::corrupt);
    CHECK(here.bench.log().damage().size() == 1);
  }
}

TEST_CASE("no segment goes through the page cache beyond the budget, or where none is",
          "[reread]") {
  world here;
  const bool none = GENERATE(true, false);
  reread_budget small{here.file_bytes() - 1};
  here.bench.stop();
  here.bench.environment().reread = none ? nullptr : &small;
  REQUIRE(here.bench.open());
  for (int i = 0; i < 5; ++i)
    CHECK(here.read_segment(0) == 0);
  CHECK(small.used() == 0);
}
