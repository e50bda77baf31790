#include "storage/cut_log.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/batch_walk.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

const std::string directory = "data/segments/t/0";

constexpr std::size_t batch_bytes = 3000; // several in a block, some across two

// Batches 1 to 16: two closed segments of six batches and an active one of four.
struct world {
  explicit world(std::uint64_t seed = 3)
      : door(seed), bench(door, {}, [this] { return door.step(); }) {
    REQUIRE(bench.open());
    for (int closed = 0; closed < 2; ++closed) {
      bench.append_durably(6, batch_bytes);
      bench.end_segment();
    }
    bench.append_durably(4, batch_bytes);
    for (int i = 0; i < 4; ++i) {
      bench.tick();
      bench.settle();
    }
    REQUIRE(bench.log().segment_count() == 3);
    for (std::size_t at = 0; at < 3; ++at)
      firsts.push_back(bench.log().segment_at(at).id.first.value);
    bench.stop();
    door.kill();
  }

  result<cut_report> cut(std::uint64_t end, std::uint64_t committed = 1) {
    return cut_log(door, directory, {log_id{7}, batch_number{end}, batch_number{committed}, {}});
  }
  // What a start after a loss of power finds; every batch of it is whole.
  std::uint64_t reopened_end() {
    bench.stop();
    door.crash();
    REQUIRE(bench.open());
    CHECK_FALSE(bench.log().recovered().damaged);
    const auto end = bench.log().durable_next().value;
    for (auto at = bench.log().start_number(); at.value < end; ++at.value)
      REQUIRE(bench.log().find_number(at));
    return end;
  }
  std::vector<std::string> names() { return *door.list(directory); }

  sim_disk door;
  log_bench bench;
  std::vector<std::uint64_t> firsts;
};

log_start far_ahead() {
  return {log_id{7}, batch_number{1000}, byte_offset{1 * GiB}, record_number{5000}, term{4}, {},
          77};
}

} // namespace

TEST_CASE("a log is cut at any batch, and goes on from there", "[cut_log]") {
  const auto end = GENERATE(range(std::uint64_t{1}, std::uint64_t{18}));
  INFO("end " << end);
  world here;
  REQUIRE(here.cut(end));
  CHECK(here.reopened_end() == end);
  CHECK(here.bench.log().recovered().quarantined_bytes == 0);
  CHECK(here.bench.front().next_number().value == end);
  CHECK(here.bench.log().durable_end().value == (end - 1) * batch_bytes);
  CHECK(here.bench.log().has_active() == (end > 1)); // where segments begin is the leader's to say
  here.bench.append_durably(3, 1000);
  here.bench.verify_all(batch_number{1});
  here.bench.stop();
  CHECK(here.reopened_end() == end + 3);
}

TEST_CASE("what is committed, or not there, is not cut", "[cut_log]") {
  world here;
  const auto before = here.names();
  CHECK(here.cut(9, 10).error().code == errc::invalid_request);
  CHECK(here.cut(18).error().code == errc::invalid_request);
  CHECK(here.cut(0, 0).error().code == errc::invalid_request);
  CHECK(here.names() == before);
  CHECK(here.cut(10, 10));
  CHECK(here.reopened_end() == 10);
}

TEST_CASE("a fenced log is not cut", "[cut_log]") {
  world here;
  REQUIRE(write_fence_note(here.door, directory, {"flush", EIO, 1, batch_number{5}, {}}));
  const auto before = here.names();
  CHECK(here.cut(9).error().code == errc::log_fenced);
  CHECK(begin_log_at(here.door, directory, far_ahead()).error().code == errc::log_fenced);
  CHECK(here.names() == before);
}

TEST_CASE("a closed segment that is the last is open again, with nothing cut", "[cut_log]") {
  world here;
  const auto end = here.firsts[2];
  const auto cut = here.cut(end);
  REQUIRE(cut);
  CHECK(cut->segments_removed == 1);
  CHECK(cut->bytes_cut == 0);
  CHECK(cut->reopened);
  const auto again = here.cut(end); // and once more is nothing
  REQUIRE(again);
  CHECK_FALSE(again->reopened);
  CHECK(here.reopened_end() == end);
}

TEST_CASE("what lies behind damage cannot be told from it: nothing is cut", "[cut_log]") {
  world here;
  for (const auto& name : here.names())
    if (layout::parse(name).segment.first.value == here.firsts[0])
      here.door.overwrite(layout::join(directory, name), 40, as_bytes("rotten"));
  const auto before = here.names();
  CHECK(here.cut(4).error().code == errc::corrupt);
  CHECK(here.names() == before);
}

// At every step: the log is never damaged, never shorter than it should be, and what is left cuts
// to the same end.
TEST_CASE("a log is cut through a loss of power at every step", "[cut_log]") {
  const auto segment = GENERATE(0U, 1U, 2U);
  const auto into = GENERATE(0U, 2U);
  for (std::uint64_t step = 1; step <= 24; ++step) {
    INFO("segment " << segment << " + " << into << ", step " << step);
    world here{step};
    const auto end = here.firsts[segment] + into;
    here.door.die_in(step);
    const bool done = here.cut(end) && !here.door.dead();
    const auto left = here.reopened_end();
    CHECK(left >= end);
    CHECK(left <= 17);
    CHECK((!done || left == end));
    here.bench.stop();
    here.door.kill();
    REQUIRE(here.cut(end));
    CHECK(here.reopened_end() == end);
    if (done)
      break;
  }
}

TEST_CASE("a replica that was away begins where the leader's log does", "[cut_log]") {
  world here;
  REQUIRE(begin_log_at(here.door, directory, far_ahead()));
  CHECK(here.reopened_end() == 1000);
  CHECK(here.bench.log().durable_end() == far_ahead().next_offset);
  CHECK(here.bench.log().durable_records() == far_ahead().next_record);
  here.bench.append_durably(2, 1000);
  here.bench.stop();
  CHECK(here.reopened_end() == 1002);
  CHECK(here.bench.log().start_number().value == 1000);
  here.bench.stop();
  here.door.kill();
  CHECK(begin_log_at(here.door, directory, far_ahead()).error().code == errc::invalid_request);
}

TEST_CASE("it begins anew through a loss of power at every step", "[cut_log]") {
  for (std::uint64_t step = 1; step <= 24; ++step) {
    INFO("step " << step);
    world here{step};
    here.door.die_in(step);
    const bool done = begin_log_at(here.door, directory, far_ahead()) && !here.door.dead();
    const auto left = here.reopened_end();
    CHECK((left == 1000 || (!done && left == 17))); // never shorter than it was
    here.bench.stop();
    here.door.kill();
    if (left == 17)
      REQUIRE(begin_log_at(here.door, directory, far_ahead()));
    CHECK(here.reopened_end() == 1000);
    if (done)
      break;
  }
}
