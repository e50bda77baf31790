#include "storage/log.hpp"

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

// A simulated disk and a log on it.
struct world {
  explicit world(setup how = {}) : bench(door, how, [this] { return door.step(); }) {}
  void open() { REQUIRE(bench.open()); }
  void power_cut_and_open() {
    bench.stop();
    door.crash();
    open();
  }
  [[nodiscard]] std::vector<std::string> names() { return *door.list("data/segments/t/0"); }
  void lift_fence() {
    bench.stop();
    door.kill();
    bench.lift_fence(true);
    open();
    bench.lift_fence(false);
  }
  [[nodiscard]] std::vector<std::string> names_ending(std::string_view part) {
    auto found = names();
    std::erase_if(found, [&](const auto& name) { return !name.ends_with(part); });
    return found;
  }
  [[nodiscard]] std::size_t names_with(std::string_view part) {
    std::size_t count = 0;
    for (const auto& name : names())
      count += name.find(part) != std::string::npos ? 1U : 0U;
    return count;
  }

  sim_disk door{7};
  log_bench bench;
};

} // namespace

TEST_CASE("a batch is acknowledged after its write and its flush, not before", "[log]") {
  world here;
  here.open();
  REQUIRE(here.bench.append_next(1000));
  here.bench.turn();
  CHECK(here.bench.log().durable_next() == batch_number{1});
  CHECK_FALSE(here.bench.log().idle());
  const auto flushes = here.door.flushes;
  here.bench.settle();
  CHECK(here.door.flushes == flushes + 1);
  CHECK(here.bench.log().durable_next() == batch_number{2});
  CHECK(here.bench.log().durable_end() == byte_offset{1000});
  CHECK(here.bench.changes > 0);
}

TEST_CASE("what came while the device was busy makes the next group", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(1, 100);
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(here.bench.append_next(100));
    here.bench.turn();
  }
  const auto writes = here.door.writes;
  here.bench.settle();
  CHECK(here.door.writes == writes + 2); // the one under way, and one for all ten
  CHECK(here.bench.log().durable_next() == batch_number{13});
}

TEST_CASE("a linger waits for company, measured from the first batch", "[log]") {
  setup how;
  how.policy.linger_ns = 1'000'000;
  world here{how};
  here.open();
  const auto began = here.bench.clock.steady_ns();
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  CHECK(here.bench.log().due_ns() == began + 1'000'000);
  here.bench.clock.advance_ns(900'000);
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  CHECK(here.bench.log().due_ns() == began + 1'000'000); // not put off
  here.bench.clock.advance_ns(100'000);
  here.bench.turn();
  CHECK(here.bench.log().due_ns() == ~std::uint64_t{0});
  here.door.settle();
  CHECK(here.bench.log().durable_next() == batch_number{3});
}

TEST_CASE("a log goes on after a restart as if nothing had been", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(20, 777);
  const bool clean = GENERATE(true, false);
  if (clean)
    here.bench.close();
  else
    here.bench.stop();
  here.open();
  CHECK(here.bench.log().durable_next() == batch_number{21});
  CHECK(here.bench.log().durable_end() == byte_offset{20 * 777});
  CHECK(here.bench.log().has_active() == !clean);
  here.bench.append_durably(20, 555);
  here.bench.stop();
  here.open();
  CHECK(here.bench.log().durable_next() == batch_number{41});
  CHECK(here.bench.log().segment_count() == (clean ? 2 : 1));
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("after power was cut exactly the acknowledged is there", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(30, 1234);
  here.power_cut_and_open();
  CHECK(here.bench.log().durable_next() == batch_number{31});
  here.bench.verify_all(batch_number{1});
  here.bench.append_durably(3, 50);
  here.power_cut_and_open();
  CHECK(here.bench.log().durable_next() == batch_number{34});
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("segments roll, and closed ones have their exact size and whole index", "[log]") {
  setup how;
  how.pool_buffers = 400;
  world here{how};
  here.open();
  here.bench.append_durably(20, 5 * MiB);
  for (int i = 0; i < 5; ++i)
    here.bench.tick(), here.bench.settle();
  const auto& log = here.bench.log();
  CHECK(log.segment_count() == 4); // six batches each
  CHECK(here.names_with("-") == 3);
  for (std::size_t i = 0; i + 1 < log.segment_count(); ++i) {
    const auto& facts = log.segment_at(i);
    const auto name = "data/segments/t/0/" + layout::closed_name(facts.id, facts.last_ns);
    CHECK(here.door.inode(name).size() == facts.file_bytes);
    CHECK(facts.batches == 6);
    CHECK(here.door.inode("data/segments/t/0/" + layout::index_name(facts.id)).size() ==
          index_header_bytes + 6 * index_entry_bytes);
  }
  here.bench.verify_all(batch_number{1});
  here.power_cut_and_open();
  CHECK(here.bench.log().durable_next() == batch_number{21});
  CHECK(here.bench.log().recovered().closed_segments == 3);
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("batches larger than a buffer and up to the largest go through", "[log]") {
  setup how;
  how.pool_buffers = 300;
  world here{how};
  here.open();
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{64 * KiB},
                                 std::size_t{64 * KiB + 1}, std::size_t{max_payload_bytes}}) {
    here.bench.append_durably(1, size);
  }
  here.bench.verify_all(batch_number{1});
  here.power_cut_and_open();
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("a failed write or flush fences the log for good", "[log]") {
  const bool at_flush = GENERATE(true, false);
  world here;
  here.open();
  here.bench.append_durably(5, 100);
  (at_flush ? here.door.faults.flush_in : here.door.faults.write_in) = 0;
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  here.door.settle();
  here.bench.take();
  CHECK(here.bench.last.failed);
  CHECK(here.bench.last.failed_end == batch_number{7});
  CHECK(here.bench.last.durable_next == batch_number{6});
  CHECK(here.bench.last.failure.system == EIO);
  CHECK(here.bench.log().state() == log_state::fenced);
  CHECK(here.bench.append_next(100).error().code == errc::read_only);
  const auto flushes = here.door.flushes;
  const auto writes = here.door.writes;
  for (int i = 0; i < 100; ++i) {
    here.bench.tick();
    here.bench.settle();
  }
  CHECK(here.door.flushes == flushes);   // never flushed again
  CHECK(here.door.writes <= writes + 2); // the index, at most
  here.bench.log().close();
  here.bench.tick();
  CHECK(here.bench.log().closed());
  CHECK(here.bench.append_pool().lent() <= 2); // its tail cache and appender

  const bool power_cut = GENERATE(true, false);
  for (int i = 0; i < 2; ++i) { // starts change nothing
    here.bench.stop();
    if (power_cut)
      here.door.crash();
    else
      here.door.kill();
    here.open();
    CHECK(here.bench.log().state() == log_state::fenced);
    REQUIRE(here.bench.log().recovered().fenced);
    CHECK(here.bench.log().recovered().fenced->reason ==
          (at_flush ? "flush_failed" : "write_failed"));
    CHECK(here.bench.log().recovered().fenced->system == EIO);
    CHECK(here.bench.log().durable_next() == batch_number{6});
    CHECK(here.bench.append_next(100).error().code == errc::read_only);
    here.bench.verify_all(batch_number{1});
  }
  here.lift_fence();
  CHECK(here.bench.log().state() == log_state::open);
  // What the flush should have written may be in memory; on the device it is not.
  CHECK(here.bench.log().durable_next() == batch_number{6});
  here.bench.append_durably(2, 100);
  here.power_cut_and_open();
  CHECK(here.bench.log().state() == log_state::open);
  CHECK(here.bench.log().durable_next() == batch_number{8});
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("a fence that cannot be noted is noted when the disk takes it", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(3, 100);
  here.door.faults.flush_in = 0;
  here.door.faults.no_new_files = true;
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  here.door.settle();
  here.bench.take();
  REQUIRE(here.bench.log().state() == log_state::fenced);
  const std::string path = "data/segments/t/0/fenced";
  CHECK_FALSE(here.door.exists(path));
  SECTION("while the process lives") {
    here.door.faults.no_new_files = false;
    for (int i = 0; i < 30; ++i) // 1.5 s
      here.bench.tick();
    REQUIRE(here.door.exists(path));
    const auto text = here.door.content(path);
    const auto note = fence_note_from_json(as_text(text));
    REQUIRE(note);
    CHECK(note->reason == "flush_failed");
    CHECK(note->durable_next == batch_number{4});
    CHECK(note->durable_end == byte_offset{300});
    CHECK(to_json(*note) == as_text(text));
  }
  SECTION("or never: the next start writes again what it counts") {
    here.bench.stop();
    here.door.kill();
    here.door.faults = {};
    here.open();
    CHECK(here.bench.log().state() == log_state::open);
    CHECK(here.bench.log().durable_next() == batch_number{5}); // the fourth was in memory alone
    here.bench.append_durably(2, 100);
    here.power_cut_and_open();
    CHECK(here.bench.log().durable_next() == batch_number{7});
  }
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("whole batches that were not acknowledged count once the fence is lifted", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(3, 100);
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  here.door.faults.flush_in = 0;
  here.door.settle();
  here.bench.take();
  REQUIRE(here.bench.log().state() == log_state::fenced);
  // The device has them all the same: only the flush's answer was lost.
  const auto active = "data/segments/t/0/" + here.names_ending(".lnc").at(0);
  here.door.overwrite(active, 0, here.door.content(active));
  here.bench.stop();
  here.door.kill();
  here.open();
  CHECK(here.bench.log().durable_next() == batch_number{4}); // not readable while it is fenced
  here.lift_fence();
  CHECK(here.bench.log().durable_next() == batch_number{5});
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("a torn note fences, and only what the index vouches for is read", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(3, 100);
  here.bench.tick();
  here.bench.settle(); // the index has three
  here.bench.append_durably(2, 100);
  here.bench.stop();
  here.door.kill();
  const auto* const name = GENERATE("data/segments/t/0/fenced", "data/segments/t/0/fenced.tmp");
  {
    auto file = *here.door.open(name, {.create = true});
    REQUIRE(file->write_now(0, as_bytes(std::string_view{"{\"reason\":\"flu"})));
  }
  here.open();
  CHECK(here.bench.log().state() == log_state::fenced);
  CHECK(here.bench.log().recovered().fenced->reason == "unreadable");
  CHECK(here.bench.log().durable_next() == batch_number{6}); // written once more, and synced
  here.bench.verify_all(batch_number{1});
  here.lift_fence();
  CHECK(here.bench.log().durable_next() == batch_number{6});
  CHECK_FALSE(here.door.exists(name));
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("a fence is not lifted off a damaged log", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(3, 100);
  here.bench.tick();
  here.bench.settle();
  here.bench.stop();
  here.door.kill();
  REQUIRE(write_fence_note(here.door, "data/segments/t/0",
                           {"flush_failed", EIO, 1, batch_number{4}, byte_offset{300}}));
  const auto active = "data/segments/t/0/" + here.names_ending(".lnc").at(0);
  here.door.overwrite(active, 2 * 212 + 150, payload_of(9, 8));
  here.lift_fence();
  CHECK(here.bench.log().state() == log_state::damaged);
  CHECK(here.door.exists("data/segments/t/0/fenced"));
  CHECK(here.bench.log().durable_next() == batch_number{3});
}

TEST_CASE("the index lags by no more than a block of entries and what is under way", "[log]") {
  setup how;
  how.pool_buffers = 200;
  world here{how};
  here.open();
  std::mt19937_64 random{5};
  constexpr unsigned at_once = 20;
  for (int round = 0; round < 20; ++round) {
    for (auto left = 100 + random() % 200; left > 0; --left) {
      for (auto some = random() % at_once; some > 0; --some)
        if (!here.bench.append_next(100))
          here.bench.cache().shrink_to(0);
      here.bench.turn();
      for (auto steps = random() % 6; steps > 0; --steps)
        here.bench.drive();
    }
    here.bench.stop();
    here.door.kill();
    here.open();
    // A block not begun, a block being written, and the groups that ended meanwhile.
    CHECK(here.bench.log().recovered().batches_walked <= 2 * 64 + 8 * at_once);
  }
}

TEST_CASE("runs that come after the fence are reported as failed", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(1, 100);
  here.door.faults.flush_in = 0;
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  REQUIRE(here.bench.append_next(100)); // the appender has not heard yet
  here.door.settle();
  here.bench.turn();
  CHECK(here.bench.last.failed);
  CHECK(here.bench.last.failed_end == batch_number{4});
}

TEST_CASE("a full disk refuses new batches and takes them again when there is room", "[log]") {
  setup how;
  how.pool_buffers = 400;
  world here{how};
  here.door.capacity = 70 * MiB; // the first segment and one spare
  here.open();
  here.bench.clock.advance_ns(1000);
  std::size_t taken = 0;
  result<sealed_batch> sealed;
  for (int i = 0; i < 200; ++i) {
    sealed = here.bench.append_next(4 * MiB);
    if (sealed)
      ++taken;
    else if (sealed.error().code == errc::read_only)
      break;
    here.bench.settle();
    here.bench.tick();
  }
  REQUIRE_FALSE(sealed);
  CHECK(sealed.error().code == errc::read_only);
  CHECK(taken == 14); // two segments of seven
  here.bench.settle();
  CHECK(here.bench.log().state() == log_state::no_space);
  CHECK_FALSE(here.bench.failed);
  CHECK(here.bench.log().durable_next() == batch_number{taken + 1});
  here.bench.verify_all(batch_number{1});

  here.door.capacity = 200 * MiB;
  here.bench.tick();
  here.bench.settle();
  CHECK(here.bench.log().state() == log_state::open);
  here.bench.append_durably(3, 4 * MiB);
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("no room for what was granted stalls the log; the batch waits and is not lost", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(3, 100);
  here.door.faults.error = ENOSPC;
  here.door.faults.write_in = 0;
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  here.door.settle();
  here.bench.take();
  CHECK(here.bench.log().state() == log_state::stalled);
  CHECK(here.bench.append_next(100).error().code == errc::read_only);
  CHECK_FALSE(here.bench.failed);
  here.bench.tick();
  here.bench.settle();
  CHECK(here.bench.log().state() == log_state::open);
  CHECK(here.bench.log().durable_next() == batch_number{5});
  here.bench.append_durably(1, 100);
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("ENOSPC out of a flush is no want of room but a failed flush", "[log]") {
  world here;
  here.open();
  here.bench.append_durably(3, 100);
  here.door.faults.error = ENOSPC;
  here.door.faults.flush_in = 0;
  REQUIRE(here.bench.append_next(100));
  here.bench.turn();
  here.door.settle();
  CHECK(here.bench.log().state() == log_state::fenced);
}

TEST_CASE("a disk full from the start refuses at once and serves when there is room", "[log]") {
  world here;
  here.door.capacity = 1 * MiB;
  here.open();
  CHECK(here.bench.log().state() == log_state::no_space);
  CHECK(here.bench.append_next(10).error().code == errc::read_only);
  here.door.capacity = 100 * MiB;
  here.bench.tick();
  here.bench.append_durably(1, 10);
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("with durability written nothing is flushed for an acknowledgement", "[log]") {
  setup how;
  how.policy.level = durability::written;
  world here{how};
  here.open();
  here.bench.append_durably(1, 100);
  const auto flushes = here.door.flushes;
  here.bench.append_durably(10, 100);
  CHECK(here.door.flushes == flushes);
  CHECK(here.bench.log().durable_next() == batch_number{12});
  here.bench.clock.advance_ns(2 * s_in_ns);
  here.bench.tick(); // the lazy flush
  here.bench.settle();
  CHECK(here.door.flushes == flushes + 1);
  here.power_cut_and_open();
  CHECK(here.bench.log().durable_next() == batch_number{12});
}

TEST_CASE("with durability memory a batch counts and is read at once", "[log]") {
  setup how;
  how.policy.level = durability::memory;
  how.chosen.tail_cache_bytes = 0; // only what is pending is in memory
  world here{how};
  here.open();
  here.bench.append_durably(1, 100);
  REQUIRE(here.bench.append_next(5000));
  here.bench.turn();
  CHECK(here.bench.log().durable_next() == batch_number{3});
  CHECK_FALSE(here.bench.log().idle());
  const auto got = here.bench.read_bytes(100, 5000);
  REQUIRE(got);
  CHECK(*got == payload_of(2, 5000));
  here.bench.settle();
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("a segment is flushed before the next is begun, whatever the level", "[log]") {
  setup how;
  how.pool_buffers = 400;
  how.policy.level = GENERATE(durability::written, durability::memory);
  world here{how};
  unsigned begun = 0;
  here.door.on_rename = [&](const std::string& from, const std::string& to) {
    if (from.find("next.spare") == std::string::npos)
      return;
    for (const auto& name : here.names())
      if (layout::parse(name).kind == layout::file_kind::active_segment)
        CHECK(here.door.inode("data/segments/t/0/" + name).synced());
    INFO(to);
    ++begun;
  };
  here.open();
  here.bench.append_durably(8, 5 * MiB);
  CHECK(begun == 2);
  here.door.on_rename = {};
  REQUIRE(here.bench.log().segment_count() == 2);
  here.power_cut_and_open();
  CHECK(here.bench.log().durable_next() >= batch_number{7}); // the first segment's six
  CHECK(here.bench.log().state() == log_state::open);
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("zeros are written ahead while the log is idle, and batches go over them", "[log]") {
  setup how;
  how.chosen.preallocate_bytes = 2 * MiB;
  world here{how};
  here.open();
  here.bench.append_durably(1, 1500 * KiB);
  const auto writes = here.door.writes;
  here.bench.tick();
  here.bench.settle();
  CHECK(here.door.writes > writes + 2);
  REQUIRE(here.bench.append_next(100));
  here.bench.tick(); // zeros and a group at once
  here.bench.settle();
  here.bench.append_durably(30, 100 * KiB);
  here.bench.verify_all(batch_number{1});
  here.power_cut_and_open();
  CHECK(here.bench.log().durable_next() == batch_number{33});
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("an idle log gives its buffers back and goes on later", "[log]") {
  setup how;
  how.chosen.tail_cache_bytes = 0;
  world here{how};
  here.open();
  for (int i = 0; i < 10; ++i) {
    here.bench.append_durably(1, 1000 + static_cast<std::size_t>(i));
    CHECK(here.bench.front().release_idle());
    CHECK(here.bench.append_pool().lent() == 0);
  }
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("lookups find batches by number, offset, record and time in all segments", "[log]") {
  setup how;
  how.pool_buffers = 400;
  how.chosen.open_segments = 1; // opening and letting go at every turn
  world here{how};
  here.open();
  here.bench.append_durably(30, 3 * MiB);
  auto& log = here.bench.log();
  REQUIRE(log.segment_count() == 3);
  for (std::uint64_t i = 0; i < 30; i += 7) {
    const auto number = batch_number{i + 1};
    const auto found = log.find_number(number);
    REQUIRE(found);
    CHECK(found->entry.offset == byte_offset{i * 3 * MiB});
    CHECK(log.find_offset(byte_offset{i * 3 * MiB + 5})->number == number);
    CHECK(log.find_record(record_number{i})->number == number);
    CHECK(log.find_time(found->entry.append_time_ns)->number == number);
    CHECK(log.find_time(found->entry.append_time_ns - 1)->number == number);
  }
  CHECK(log.find_offset(log.durable_end()).error().code == errc::offset_out_of_range);
  CHECK(log.find_record(record_number{30}).error().code == errc::offset_out_of_range);
  CHECK(log.find_time(~std::uint64_t{0}).error().code == errc::offset_out_of_range);
  CHECK(log.find_number(batch_number{31}).error().code == errc::offset_out_of_range);
  CHECK(log.find_number(batch_number{0}).error().code == errc::offset_out_of_range);
}

TEST_CASE("dropping segments moves the start and never the numbers", "[log]") {
  setup how;
  how.pool_buffers = 400;
  world here{how};
  here.open();
  here.bench.append_durably(20, 5 * MiB);
  auto& log = here.bench.log();
  CHECK(*log.drop_segments_before(batch_number{7}) == 1);
  CHECK(log.start_number() == batch_number{7});
  CHECK(log.start_offset() == byte_offset{30 * MiB});
  CHECK(log.start_record() == record_number{6});
  CHECK(*log.drop_segments_before(batch_number{12}) == 0);   // only whole segments
  CHECK(*log.drop_segments_before(batch_number{1000}) == 2); // the last one stays
  CHECK(log.start_number() == batch_number{19});
  here.bench.verify_all(batch_number{19});
  read_outcome told;
  const auto below = here.bench.read_bytes(5, 100, &told);
  REQUIRE(below);
  CHECK(told.start == log.start_offset());
  here.power_cut_and_open();
  CHECK(here.bench.log().start_number() == batch_number{19});
  CHECK(here.bench.log().durable_next() == batch_number{21});
  CHECK(here.names_with(".idx") == 1);
}

namespace {

// A simulated disk whose directory syncs wait, on the helper's thread, until the test lets them go.
// The test touches the disk only while the helper waits or has nothing to do.
class gated_disk final : public disk {
 public:
  explicit gated_disk(sim_disk& behind) : behind_(behind) {}
  std::atomic<bool> gate_open{true};
  std::atomic<bool> waiting{false};

  result<std::unique_ptr<file>> open(const std::string& path, const open_options& how) override {
    return behind_.open(path, how);
  }
  result<> rename(const std::string& from, const std::string& to) override {
    return behind_.rename(from, to);
  }
  result<> remove(const std::string& path) override { return behind_.remove(path); }
  result<> remove_directory(const std::string& path) override {
    return behind_.remove_directory(path);
  }
  result<std::vector<std::string>> list(const std::string& directory) override {
    return behind_.list(directory);
  }
  bool exists(const std::string& path) override { return behind_.exists(path); }
  result<> make_directories(const std::string& path) override {
    return behind_.make_directories(path);
  }
  result<> sync_directory(const std::string& directory) override {
    waiting = true;
    while (!gate_open)
      std::this_thread::yield();
    waiting = false;
    return behind_.sync_directory(directory);
  }
  result<disk_space> space(const std::string& directory) override {
    return behind_.space(directory);
  }
  result<std::unique_ptr<mapping>> map(const std::string& path) override {
    return behind_.map(path);
  }
  result<std::unique_ptr<file_lock>> lock(const std::string& path) override {
    return behind_.lock(path);
  }

 private:
  sim_disk& behind_;
};

} // namespace

TEST_CASE("a segment's first group counts only when its directory entry is durable", "[log]") {
  sim_disk door{7};
  gated_disk gated{door};
  runtime::blocking_thread helper{[](void*) {}, nullptr};
  log_bench bench{gated, setup{}, [&] { return helper.deliver() || door.step(); }};
  bench.environment().helper = &helper;
  REQUIRE(bench.open());
  for (int i = 0; i < 10'000 && bench.log().take_progress().grant.next_limit == 0; ++i) {
    helper.deliver();
    std::this_thread::sleep_for(std::chrono::microseconds{100});
  }
  bench.front().set_grant(bench.log().take_progress().grant);

  gated.gate_open = false;
  REQUIRE(bench.append_next(1000));
  bench.turn(); // the group is under way, and the renaming on the helper
  while (!gated.waiting)
    std::this_thread::yield();
  door.settle(); // written and flushed
  helper.deliver();
  CHECK(bench.log().durable_next() == batch_number{1});
  CHECK_FALSE(bench.log().idle());

  gated.gate_open = true;
  for (int i = 0; i < 10'000 && bench.log().durable_next() == batch_number{1}; ++i) {
    helper.deliver();
    std::this_thread::sleep_for(std::chrono::microseconds{100});
  }
  CHECK(bench.log().durable_next() == batch_number{2});
  for (int i = 0; i < 10'000 && !bench.log().idle(); ++i) {
    helper.deliver();
    door.step();
    std::this_thread::sleep_for(std::chrono::microseconds{100});
  }
}
