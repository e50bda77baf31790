// Segments that go: the order on disk, crashes in between, and numbers that never start again.
#include "storage/segment_removal.hpp"

#include <catch2/catch.hpp>

#include <array>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/fence_note.hpp"
#include "storage/layout.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

// A disk that does only so many deeds more, and fails from then on.
class stopping_disk final : public disk {
 public:
  stopping_disk(sim_disk& behind, unsigned deeds) : behind_(behind), left_(deeds) {}
  bool stopped = false;

  result<std::unique_ptr<file>> open(const std::string& path, const open_options& how) override {
    return spent() ? result<std::unique_ptr<file>>{broken()} : behind_.open(path, how);
  }
  result<> rename(const std::string& from, const std::string& to) override {
    return spent() ? result<>{broken()} : behind_.rename(from, to);
  }
  result<> remove(const std::string& path) override {
    return spent() ? result<>{broken()} : behind_.remove(path);
  }
  result<> sync_directory(const std::string& directory) override {
    return spent() ? result<>{broken()} : behind_.sync_directory(directory);
  }
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
  static tl::unexpected<error> broken() { return fail(errc::io_failed, EIO); }
  bool spent() {
    stopped = stopped || left_ == 0;
    left_ -= left_ == 0 ? 0 : 1;
    return stopped;
  }
  sim_disk& behind_;
  unsigned left_;
};

// A log of small segments, ended as retention ends them.
struct world {
  explicit world(std::uint64_t seed = 1, setup how = {})
      : door(seed), bench(door, std::move(how), [this] { return door.step(); }) {
    REQUIRE(bench.open());
  }
  void add_segment(std::size_t batches = 3) {
    bench.append_durably(batches, 1000);
    bench.end_segment();
  }
  void crash_and_open() {
    bench.stop();
    door.crash();
    REQUIRE(bench.open());
  }
  storage::log& log() { return bench.log(); }
  [[nodiscard]] bool has(const std::string& suffix) {
    const auto names = *door.list("data/segments/t/0");
    return std::any_of(names.begin(), names.end(),
                       [&](const auto& name) { return name.ends_with(suffix); });
  }

  sim_disk door;
  log_bench bench;
};

} // namespace

TEST_CASE("an ended segment is closed though nothing follows", "[retention]") {
  world here;
  here.add_segment();
  CHECK_FALSE(here.log().has_active());
  CHECK(here.log().segment_count() == 1);
  CHECK(here.has(".lnc"));
  here.bench.verify_all(batch_number{1});
  here.add_segment();
  CHECK(here.log().segment_count() == 2);
  CHECK(here.log().segment_at(1).id.first == batch_number{4});
  here.crash_and_open();
  here.bench.verify_all(batch_number{1});
  CHECK(here.log().durable_next() == batch_number{7});
}

TEST_CASE("a segment is ended while batches are on their way into it", "[retention]") {
  world here;
  REQUIRE(here.bench.append_next(5000));
  REQUIRE(here.bench.append_next(5000));
  const auto ended = here.bench.front().end_segment();
  REQUIRE(ended);
  CHECK_FALSE(here.bench.front().end_segment()); // there is none any more
  here.bench.turn();
  here.log().end_segment(*ended); // the group is under way
  CHECK(here.log().ending());
  REQUIRE(here.bench.append_next(5000)); // and the next segment has begun
  here.bench.settle();
  here.bench.tick();
  here.bench.settle();
  CHECK_FALSE(here.log().ending());
  CHECK(here.log().segment_count() == 2);
  CHECK(here.log().segment_at(0).batches == 2);
  CHECK(here.log().segment_at(1).batches == 1);
  here.bench.verify_all(batch_number{1});
  here.log().end_segment(*ended); // said twice: it is closed already
  here.bench.append_durably(1, 100);
  CHECK(here.log().segment_count() == 2);
}

TEST_CASE("numbers go on after everything was dropped, also after a restart", "[retention]") {
  world here;
  here.add_segment();
  here.add_segment();
  const auto end = here.log().durable_end();
  const auto records = here.log().durable_records();
  CHECK(*here.log().drop_segments_before(here.log().durable_next()) == 2);
  CHECK(here.log().segment_count() == 0);
  CHECK_FALSE(here.has(".lnc"));
  CHECK_FALSE(here.has(".idx"));
  const auto check_empty = [&] {
    CHECK(here.log().durable_next() == batch_number{7});
    CHECK(here.log().start_number() == batch_number{7});
    CHECK(here.log().start_offset() == end);
    CHECK(here.log().durable_end() == end);
    CHECK(here.log().durable_records() == records);
    CHECK(here.bench.front().next_number() == batch_number{7});
    CHECK(here.bench.front().last_time_ns() > 0);
    read_outcome told;
    const auto nothing = here.bench.read_bytes(0, 100, &told);
    REQUIRE(nothing);
    CHECK(nothing->empty());
    CHECK(told.next == end);
  };
  check_empty();
  here.crash_and_open();
  check_empty();
  here.crash_and_open(); // and again
  check_empty();
  const auto next = here.bench.append_next(1000);
  REQUIRE(next);
  CHECK(next->header.offset == end);
  CHECK(next->header.first_record == records);
  here.bench.settle();
  here.bench.verify_all(batch_number{7});
  here.crash_and_open();
  CHECK(here.log().start_number() == batch_number{7});
  CHECK(here.log().durable_next() == batch_number{8});
  here.bench.verify_all(batch_number{7});
}

TEST_CASE("a segment whose first batch is on its way does not carry the numbers yet",
          "[retention]") {
  for (const auto level : {durability::fsync, durability::written})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO("level " << static_cast<int>(level) << ", seed " << seed);
      setup how;
      how.policy.level = level;
      world here{seed, how};
      here.add_segment();
      const auto end = here.log().durable_end();
      REQUIRE(here.bench.append_next(5000));
      if (level == durability::fsync)
        here.bench.turn(); // not even written when the power goes
      else
        here.bench.settle(); // written, and not flushed
      CHECK(here.log().has_active());
      CHECK(*here.log().drop_segments_before(batch_number{4}) == 1);
      here.crash_and_open();
      CHECK(here.log().state() == log_state::open);
      CHECK(here.log().start_number() == batch_number{4});
      CHECK(here.log().start_offset() == end);
      CHECK(here.bench.front().next_number().value >= 4);
      here.bench.append_durably(1, 100);
      here.bench.verify_all(batch_number{4});
    }
}

TEST_CASE("nor does the tail of a fenced log that was only read back", "[retention]") {
  setup how;
  how.policy.level = durability::written;
  const auto seed = GENERATE(range(1, 9)); // some of them lose all of the tail
  world here{static_cast<std::uint64_t>(seed), how};
  here.add_segment();
  here.bench.append_durably(2, 1000); // written, not flushed
  const auto end = here.bench.log().durable_next();
  here.bench.stop();
  here.door.kill();
  REQUIRE(write_fence_note(here.door, here.bench.directory(),
                           {"flush_failed", EIO, 0, end, byte_offset{5000}}));
  REQUIRE(here.bench.open());
  REQUIRE(here.bench.log().state() == log_state::fenced);
  REQUIRE(here.bench.log().segment_count() == 2);
  CHECK(here.bench.log().drop_segments_before(batch_number{4}) == std::size_t{1});
  here.bench.stop();
  here.door.crash(); // the tail is gone
  here.bench.lift_fence(true);
  REQUIRE(here.bench.open());
  CHECK(here.bench.log().durable_next() >= batch_number{4});
}

TEST_CASE("on a full disk the older segments make room for the numbers", "[retention]") {
  world here;
  here.add_segment();
  here.add_segment();
  here.log().hold_space(true);
  here.bench.stop(); // the spare stays
  REQUIRE(here.door.remove("data/segments/t/0/next.spare"));
  REQUIRE(here.bench.open());
  here.door.capacity = here.door.used();
  CHECK(*here.log().drop_segments_before(batch_number{7}) == 2);
  here.crash_and_open();
  CHECK(here.log().durable_next() == batch_number{7});
}

TEST_CASE("a log whose only segment cannot be opened keeps it, and its numbers with it",
          "[retention]") {
  world here;
  here.add_segment();
  here.crash_and_open();
  const auto facts = here.log().segment_at(0);
  const auto index = "data/segments/t/0/" + layout::index_name(facts.id);
  const auto sound = here.door.content(index);
  const std::array wrong{~sound.front()};
  here.door.overwrite(index, 0, wrong);
  const auto removal = here.log().take_before(facts.end_number());
  CHECK(removal.segments.empty());
  CHECK_FALSE(removal.numbers);
  CHECK(here.log().segment_count() == 1);
  CHECK(here.log().start_offset() == byte_offset{0});
  CHECK(here.log().damage().take_doubted() == facts.id.first); // it will be looked at
  here.door.overwrite(index, 0, {sound.data(), 1});
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("keys and times never go back over an emptied log", "[retention]") {
  world here;
  here.add_segment();
  const auto last = here.log().find_number(batch_number{3})->entry;
  REQUIRE(here.log().drop_segments_before(batch_number{4}));
  here.crash_and_open();
  here.bench.clock.set_wall_ns(1); // a clock that was reset
  const auto next = here.bench.append_next(10);
  REQUIRE(next);
  CHECK(next->header.key > last.key);
  CHECK(next->header.append_time_ns >= last.append_time_ns);
}

TEST_CASE("a damaged log.start keeps an emptied log shut; with segments it says nothing",
          "[retention]") {
  world here;
  here.add_segment();
  REQUIRE(here.log().drop_segments_before(batch_number{4}));
  here.bench.stop();
  const std::string path = "data/segments/t/0/log.start";
  const auto good = here.door.content(path);
  here.door.overwrite(path, 16, as_bytes("damage"));
  CHECK(here.bench.open().error().code == errc::bad_format);
  here.door.overwrite(path, 0, good);
  REQUIRE(here.bench.open());
  here.bench.append_durably(2, 100);
  here.bench.stop();
  here.door.overwrite(path, 16, as_bytes("damage"));
  REQUIRE(here.bench.open());
  CHECK(here.log().durable_next() == batch_number{6});
}

TEST_CASE("a crash at every step of a removal leaves a log without holes", "[retention]") {
  for (const bool whole : {true, false})
    for (unsigned deeds = 0;; ++deeds) {
      INFO("whole " << whole << ", the disk stops after " << deeds << " deeds");
      world here{deeds * 7 + (whole ? 1 : 0)};
      for (int i = 0; i < 4; ++i)
        here.add_segment();
      if (!whole)
        here.bench.append_durably(1, 500); // an active segment stays
      const auto next = here.log().durable_next();
      const auto end = here.log().durable_end();
      const auto records = here.log().durable_records();

      stopping_disk door{here.door, deeds};
      auto removal = here.log().take_before(next);
      CHECK(removal.segments.size() == 4);
      CHECK(removal.numbers.has_value() == whole);
      const auto done = removal.run(door);
      CHECK(done.has_value() == !door.stopped);
      here.log().put_back(removal);
      here.bench.verify_all(here.log().start_number()); // what was put back can be read

      here.crash_and_open();
      CHECK(here.log().state() == log_state::open);
      CHECK(here.log().durable_next() == next);
      CHECK(here.log().durable_end() == end);
      CHECK(here.log().durable_records() == records);
      here.bench.verify_all(here.log().start_number());
      here.bench.append_durably(2, 700);
      here.bench.verify_all(here.log().start_number());
      CHECK(here.log().durable_next().value == next.value + 2);
      if (!door.stopped) {
        CHECK(here.log().start_number().value >= (whole ? next.value : 13));
        CHECK(deeds >= 4); // or nothing was counted
        break;
      }
    }
}

TEST_CASE("what is read while its segment goes is read to its end", "[retention]") {
  setup how;
  how.chosen.tail_cache_bytes = 0;
  world here{3, how};
  here.bench.append_durably(4, 200'000);
  here.bench.end_segment();
  here.bench.cache().shrink_to(0);
  std::vector<std::byte> into(800'000);
  sync_read read;
  read.start = byte_offset{0};
  read.into = into;
  auto& bench = here.bench;
  bool dropped = false;
  here.door.on_rename = {};
  // The first piece is on its way when all segments are dropped.
  struct dropping final : read_operation {
    void finished(result<read_outcome> found) override {
      outcome = found;
      done = true;
    }
    result<read_outcome> outcome;
    bool done = false;
  } slow;
  slow.start = byte_offset{0};
  slow.into = into;
  storage::reader other{bench.append_pool(), how.chosen};
  other.start(slow, here.log());
  REQUIRE_FALSE(slow.done);
  dropped = *here.log().drop_segments_before(batch_number{5}) == 1;
  CHECK(dropped);
  for (int i = 0; i < 1000 && !slow.done; ++i)
    bench.drive();
  REQUIRE(slow.done);
  REQUIRE(slow.outcome);
  CHECK(slow.outcome->bytes == 800'000);
  const auto first = payload_of(1, 200'000);
  CHECK(std::equal(first.begin(), first.end(), into.begin()));
}

TEST_CASE("a log whose space is held takes what was granted and allocates no more", "[retention]") {
  setup how;
  how.policy.space_held = true;
  how.chosen.segment_bytes = 128 * MiB; // so that a spare is made late
  world here{1, how};
  CHECK(here.log().state() == log_state::no_space);
  CHECK(here.door.used() == 0); // no spare was made
  CHECK(here.bench.append_next(10).error().code == errc::read_only);
  here.log().hold_space(false);
  here.bench.settle();
  CHECK(here.log().state() == log_state::open);
  here.bench.append_durably(2, 1000);
  here.log().hold_space(true);
  here.bench.settle();
  CHECK(here.log().state() == log_state::open); // nothing is wanted yet
  here.bench.append_durably(2, 1000);           // granted before
  here.bench.end_segment();
  const auto used = here.door.used();
  CHECK(used < 1 * MiB); // the active segment's space went back, and no spare was made
  CHECK(here.log().state() == log_state::no_space);
  CHECK(here.bench.append_next(10).error().code == errc::read_only);
  CHECK(*here.log().drop_segments_before(here.log().durable_next()) == 1);
  here.log().hold_space(false);
  here.bench.settle();
  here.bench.append_durably(1, 1000);
  here.bench.verify_all(batch_number{5});
}

TEST_CASE("a limit of size rolls early, and only into a segment that is ready", "[retention]") {
  setup how;
  how.policy.retention = retention_of(0, 32 * MiB); // rolls at 8 MiB
  how.pool_buffers = 400;
  world here{1, how};
  for (int i = 0; i < 12; ++i)
    here.bench.append_durably(1, 3 * MiB);
  CHECK(here.log().segment_count() == 4); // 9 MiB each
  CHECK(here.log().plan_retention(here.bench.clock.wall_ns()) == retention_plan{1, false});
  here.log().set_retention({});
  here.bench.append_durably(4, 3 * MiB);
  CHECK(here.log().segment_count() <= 5); // no longer
  CHECK(here.log().plan_retention(here.bench.clock.wall_ns()) == retention_plan{});
}

TEST_CASE("an age takes the whole of an idle log in two looks", "[retention]") {
  setup how;
  how.policy.retention = retention_of(60, 0);
  world here{1, how};
  here.bench.append_durably(3, 1000);
  CHECK(here.log().plan_retention(here.bench.clock.wall_ns() + 59 * s_in_ns) == retention_plan{});
  const auto late = here.bench.clock.wall_ns() + 61 * s_in_ns;
  CHECK(here.log().plan_retention(late) == retention_plan{0, true});
  here.bench.end_segment();
  CHECK(here.log().plan_retention(late) == retention_plan{1, false});
  CHECK(*here.log().drop_segments_before(here.log().durable_next()) == 1);
  CHECK(here.log().plan_retention(late) == retention_plan{});
}

TEST_CASE("a log may allocate in smaller steps than others", "[retention]") {
  setup how;
  how.policy.allocate_bytes = 4 * MiB;
  world here{1, how};
  here.bench.settle();
  CHECK(here.door.used() == 4 * MiB);
  here.bench.append_durably(20, 500'000);
  CHECK(here.door.used() >= 10 * MiB);
  CHECK(here.door.used() <= 15 * MiB);
  here.bench.verify_all(batch_number{1});
}
