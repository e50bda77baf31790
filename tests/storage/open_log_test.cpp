#include "storage/open_log.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/index_file.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

const std::string directory = "data/segments/t/0";

setup roomy() {
  setup how;
  how.pool_buffers = 400;
  return how;
}

struct world {
  world() : bench(door, roomy(), [this] { return door.step(); }) { REQUIRE(bench.open()); }
  // Two closed segments of six batches and an active one, all indexes written.
  void fill() {
    bench.append_durably(15, 5 * MiB);
    settle_index();
    REQUIRE(bench.log().segment_count() == 3);
  }
  void settle_index() {
    for (int i = 0; i < 4; ++i) {
      bench.tick();
      bench.settle();
    }
  }
  std::vector<std::string> paths(layout::file_kind kind) {
    std::vector<std::string> found;
    const auto names = door.list(directory);
    for (const auto& name : *names)
      if (layout::parse(name).kind == kind)
        found.push_back(layout::join(directory, name));
    return found;
  }
  void reopen() {
    bench.stop();
    door.kill();
    REQUIRE(bench.open());
  }

  sim_disk door{3};
  log_bench bench;
};

} // namespace

TEST_CASE("an index that is missing, short, stale or damaged is rebuilt to the same bytes",
          "[open_log]") {
  world here;
  here.fill();
  const auto indexes = here.paths(layout::file_kind::index);
  REQUIRE(indexes.size() == 3);
  const auto which = GENERATE(0U, 1U, 2U); // closed, closed, active
  const auto how = GENERATE(0, 1, 2, 3, 4, 5, 6);
  const auto path = indexes[which];
  const auto good = here.door.content(path);
  const auto others = here.door.content(indexes[(which + 1) % 3]);
  here.bench.stop();
  auto file = *here.door.open(path, {});
  switch (how) {
  case 0:
    REQUIRE(here.door.remove(path));
    break;
  case 1:
    REQUIRE(file->truncate(0));
    break;
  case 2:
    REQUIRE(file->truncate(index_header_bytes + index_entry_bytes + 17));
    break;
  case 3: // another segment's
    REQUIRE(file->truncate(0));
    REQUIRE(file->write_now(0, others));
    break;
  case 4: // the last entry
    REQUIRE(file->write_now(good.size() - 20, std::vector<std::byte>(4, std::byte{0xee})));
    break;
  case 5: // one in the middle
    REQUIRE(file->write_now(index_header_bytes + index_entry_bytes + 16,
                            std::vector<std::byte>(4, std::byte{0xee})));
    break;
  default: // the header
    REQUIRE(file->write_now(20, std::vector<std::byte>(4, std::byte{0xee})));
    break;
  }
  file.reset();
  INFO("index " << which << ", fault " << how);
  REQUIRE(here.bench.open());
  CHECK_FALSE(here.bench.log().recovered().damaged);
  if (how == 5 && which < 2) { // between the ends of a closed one: the scrubber's to find and mend
    const auto facts = here.bench.log().segment_at(which);
    const auto data = here.door.open(
        layout::join(directory, layout::closed_name(facts.id, facts.last_ns)), {.read_only = true});
    REQUIRE(data);
    REQUIRE(replace_index(here.door, path, **data, log_id{7}, facts));
  }
  CHECK(here.door.content(path) == good);
  CHECK(here.bench.log().durable_next() == batch_number{16});
}

TEST_CASE("a crash between roll and close leaves two active names; opening finishes the close",
          "[open_log]") {
  world here;
  here.fill();
  here.bench.stop();
  // The close of the second segment undone: its name, and the space behind its end.
  const auto closed = here.paths(layout::file_kind::closed_segment).at(1);
  const auto facts = layout::parse(closed.substr(directory.size() + 1));
  const auto active = layout::join(directory, layout::active_name(facts.segment));
  const auto content = here.door.content(closed);
  REQUIRE(here.door.rename(closed, active));
  REQUIRE((*here.door.open(active, {}))->truncate(32 * MiB));
  REQUIRE(here.bench.open());
  CHECK(here.bench.log().recovered().closes_finished == 1);
  CHECK(here.door.content(closed) == content);
  CHECK_FALSE(here.door.exists(active));
  CHECK(here.bench.log().durable_next() == batch_number{16});
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("a segment that never got its first batch goes, and the one before goes on",
          "[open_log]") {
  world here;
  here.bench.append_durably(3, 1000);
  here.bench.stop();
  const auto empty = layout::join(directory, layout::active_name({batch_number{4}, 77}));
  {
    auto file = *here.door.open(empty, {.create = true});
    REQUIRE(file->truncate(1 * MiB));
    REQUIRE(file->write_now(5000, payload_of(1, 100)));
  }
  REQUIRE(here.bench.open());
  CHECK_FALSE(here.door.exists(empty));
  CHECK(here.bench.log().durable_next() == batch_number{4});
  CHECK(here.bench.log().recovered().quarantined_bytes == 5100);
  here.bench.append_durably(3, 1000);
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("a torn tail is set aside and appends go on behind the last whole batch", "[open_log]") {
  world here;
  here.bench.append_durably(3, 1000);
  const auto active = here.paths(layout::file_kind::active_segment).at(0);
  here.bench.stop();
  here.door.overwrite(active, 3 * 1112, payload_of(99, 700)); // half a batch
  REQUIRE(here.bench.open());
  CHECK(here.bench.log().recovered().quarantined_bytes == 700);
  CHECK(here.door.list("data/quarantine")->size() == 1);
  CHECK(here.bench.log().durable_next() == batch_number{4});
  here.bench.append_durably(3, 500);
  here.reopen();
  CHECK(here.bench.log().recovered().quarantined_bytes == 0);
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("damage below the floor leaves the log readable up to it, closed to appends, untouched",
          "[open_log]") {
  world here;
  here.bench.append_durably(10, 1000);
  here.settle_index();
  const auto active = here.paths(layout::file_kind::active_segment).at(0);
  here.bench.stop();
  here.door.overwrite(active, 9 * 1112 + 500, payload_of(99, 8));
  const auto before = here.door.content(active);
  REQUIRE(here.bench.open());
  auto& log = here.bench.log();
  CHECK(log.state() == log_state::damaged);
  CHECK(log.recovered().damaged_at == batch_number{10});
  CHECK(log.durable_next() == batch_number{10});
  CHECK(here.bench.append_next(10).error().code == errc::read_only);
  here.bench.verify_all(batch_number{1});
  here.settle_index();
  log.close();
  here.bench.tick();
  CHECK(log.closed());
  CHECK(here.door.content(active) == before);
  CHECK_FALSE(here.door.exists("data/quarantine"));
}

TEST_CASE("a closed segment that does not add up is damage", "[open_log]") {
  world here;
  here.fill();
  const auto closed = here.paths(layout::file_kind::closed_segment);
  here.bench.stop();
  SECTION("a header in its middle, and no index to tell") {
    here.door.overwrite(closed.at(1), 2 * (5 * MiB + batch_header_bytes) + 20, payload_of(9, 8));
    REQUIRE(here.door.remove(here.paths(layout::file_kind::index).at(1)));
    REQUIRE(here.bench.open());
    CHECK(here.bench.log().state() == log_state::damaged);
    CHECK(here.bench.log().durable_next() == batch_number{9});
  }
  SECTION("it is cut short") {
    REQUIRE((*here.door.open(closed.at(1), {}))->truncate(20 * MiB));
    REQUIRE(here.bench.open());
    CHECK(here.bench.log().state() == log_state::damaged);
    CHECK(here.bench.log().durable_next() == batch_number{10});
  }
  SECTION("it is missing") {
    REQUIRE(here.door.remove(closed.at(1)));
    REQUIRE(here.bench.open());
    CHECK(here.bench.log().state() == log_state::damaged);
    CHECK(here.bench.log().durable_next() == batch_number{7});
  }
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("what a failed flush lost, though it reads well, is made durable before it is served",
          "[open_log]") {
  world here;
  here.bench.append_durably(3, 9000);
  here.door.faults.flush_in = 0;
  here.door.faults.no_new_files = true; // not even the fence can be noted
  REQUIRE(here.bench.append_next(9000));
  REQUIRE(here.bench.append_next(9000));
  here.bench.settle();
  REQUIRE(here.bench.log().state() == log_state::fenced);
  REQUIRE(here.bench.log().durable_next() == batch_number{4});
  here.door.faults.no_new_files = false;

  here.reopen(); // the process is new, the kernel is not: it shows the bytes and takes them for
                 // clean
  REQUIRE(here.bench.log().durable_next() == batch_number{6});
  here.bench.verify_all(batch_number{1});
  here.bench.stop();
  here.door.crash();
  REQUIRE(here.bench.open());
  REQUIRE(here.bench.log().durable_next() == batch_number{6});
  here.bench.verify_all(batch_number{1});
}

TEST_CASE("an error of the device while opening is no torn tail", "[open_log]") {
  world here;
  here.bench.append_durably(3, 1000);
  here.bench.stop();
  here.door.faults.flush_in = 0;
  const auto opened = here.bench.open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == errc::io_failed);
  REQUIRE(here.bench.open());
  CHECK(here.bench.log().durable_next() == batch_number{4});
}

TEST_CASE("an index that found no room at the start is written whole when its segment ends",
          "[open_log]") {
  world here;
  here.bench.append_durably(6, 3000);
  here.settle_index();
  here.bench.stop();
  for (const auto& path : here.paths(layout::file_kind::index))
    REQUIRE(here.door.remove(path));
  here.door.kill();
  here.door.capacity = here.door.used();
  REQUIRE(here.bench.open());
  here.bench.verify_all(first_batch_number);
  here.door.capacity = ~std::uint64_t{0};
  here.bench.tick();
  here.bench.settle();
  here.bench.append_durably(2, 3000);
  here.bench.end_segment();
  REQUIRE_FALSE(here.bench.log().has_active());
  here.bench.verify_all(first_batch_number);
  here.reopen();
  CHECK(here.bench.log().recovered().indexes_rebuilt == 0);
  here.bench.verify_all(first_batch_number);
}

TEST_CASE("files that are not ours are left alone; indexes without a segment go", "[open_log]") {
  world here;
  here.bench.append_durably(3, 1000);
  here.bench.stop();
  REQUIRE(here.door.open(directory + "/notes.txt", {.create = true}));
  const auto orphan = layout::join(directory, layout::index_name({batch_number{900}, 5}));
  REQUIRE(here.door.open(orphan, {.create = true}));
  REQUIRE(here.bench.open());
  CHECK(here.door.exists(directory + "/notes.txt"));
  CHECK_FALSE(here.door.exists(orphan));
}

TEST_CASE("a tail that finds no room stays where it is, and so does the log, until there is some",
          "[open_log]") {
  setup how = roomy();
  how.chosen.quarantine_files = 1;
  sim_disk door{3};
  log_bench bench{door, how, [&] { return door.step(); }};
  REQUIRE(bench.open());
  bench.append_durably(3, 1000);
  bench.stop();
  door.kill();
  REQUIRE(door.make_directories("data/quarantine"));
  REQUIRE(door.open("data/quarantine/older.tail", {.create = true}));
  const bool empty_tail = GENERATE(false, true);
  auto torn = directory + '/' + door.list(directory)->at(1);
  if (empty_tail) { // in a segment of its own, that never got a batch
    torn = layout::join(directory, layout::active_name({batch_number{4}, 77}));
    REQUIRE((*door.open(torn, {.create = true}))->write_now(0, payload_of(99, 700)));
  } else {
    REQUIRE(torn.ends_with(".lnc"));
    door.overwrite(torn, 3 * 1112, payload_of(99, 700));
  }
  const auto before = door.content(torn);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(bench.open());
    CHECK(bench.log().state() == log_state::fenced);
    CHECK(bench.log().recovered().waits_for_room);
    CHECK(bench.log().recovered().fenced->reason == "quarantine_full");
    CHECK(bench.append_next(10).error().code == errc::read_only);
    CHECK(bench.log().durable_next() == batch_number{4});
    bench.verify_all(batch_number{1});
    bench.tick();
    bench.log().close();
    bench.tick();
    CHECK(bench.log().closed());
    bench.stop();
    door.kill();
    CHECK(door.content(torn) == before);
    CHECK_FALSE(door.exists(directory + "/fenced")); // the files say it
  }
  REQUIRE(door.remove("data/quarantine/older.tail"));
  REQUIRE(bench.open());
  CHECK(bench.log().state() == log_state::open);
  CHECK(bench.log().recovered().quarantined_bytes == 700);
  bench.append_durably(2, 100);
  bench.verify_all(batch_number{1});
}

TEST_CASE("a group in a segment that never got its name is set aside, not wiped", "[open_log]") {
  world here;
  here.bench.append_durably(3, 1000);
  here.bench.stop();
  here.door.kill();
  const auto spare = layout::join(directory, layout::spare_name);
  batch_header header;
  header.flags = batch_flag::starts_segment;
  header.log = log_id{7};
  header.number = batch_number{GENERATE(4U, 2U)}; // the next one, or of a file used before
  std::vector<std::byte> bytes(batch_header_bytes);
  encode(header, chain_seed(log_id{7}, header.number), bytes.data());
  REQUIRE((*here.door.open(spare, {.create = true}))->write_now(0, bytes));
  REQUIRE(here.bench.open());
  const bool unnamed = header.number == batch_number{4};
  CHECK(here.bench.log().recovered().files_set_aside == (unnamed ? 1U : 0U));
  CHECK(here.door.exists("data/quarantine/log-7_next.spare") == unnamed);
  here.bench.append_durably(2, 100);
  here.bench.verify_all(batch_number{1});
}
