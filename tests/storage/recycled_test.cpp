#include "storage/recycled.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/batch_header.hpp"
#include "storage/layout.hpp"
#include "storage/spare_shelf.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

const std::string directory = "data/segments/t/0";
constexpr log_id owner{7};

setup roomy() {
  setup how;
  how.pool_buffers = 400;
  return how;
}

constexpr std::size_t usual_batch = 5 * MiB;

// An eighth of everything, for tests that build many worlds.
constexpr std::size_t small_batch = usual_batch / 8;
setup small() {
  auto how = roomy();
  how.chosen.payload_bytes_max = max_payload_bytes / 8;
  how.chosen.segment_bytes = min_segment_bytes / 8;
  how.chosen.allocate_bytes /= 8;
  return how;
}

struct world {
  explicit world(std::uint64_t seed = 7, setup how = roomy(), std::size_t batch_bytes = usual_batch)
      : batch(batch_bytes), door(seed), bench(door, how, [this] { return door.step(); }) {
    bench.environment().recycled = &budget;
    REQUIRE(bench.open());
  }
  [[nodiscard]] std::vector<std::string> names(layout::file_kind kind) {
    std::vector<std::string> found;
    const auto all = *door.list(directory);
    for (const auto& name : all)
      if (layout::parse(name).kind == kind)
        found.push_back(name);
    return found;
  }
  [[nodiscard]] std::string path(const std::string& name) { return layout::join(directory, name); }
  /// The log rolls from segment to segment: six batches make one full.
  void fill_segments(std::size_t count) { bench.append_durably(6 * count, batch); }
  void drop_all_but_last() {
    const auto last = bench.log().segment_at(bench.log().segment_count() - 1).id.first;
    REQUIRE(bench.log().drop_segments_before(last));
  }
  [[nodiscard]] std::size_t quarantined() {
    const auto names = door.list("data/quarantine");
    return names ? names->size() : 0;
  }

  std::size_t batch;
  recycle_budget budget{1 * GiB};
  sim_disk door;
  log_bench bench;
};

// A segment that began its life as a dropped one: two batches, then leftovers.
void begin_in_recycled(world& here) {
  here.fill_segments(2);
  here.bench.append_durably(1, 5 * MiB); // a third one begins
  here.drop_all_but_last();
  REQUIRE(here.names(layout::file_kind::recycled).size() == 2);
  here.fill_segments(2); // through the spare that was ready, into a recycled one
  here.bench.append_durably(2, 10'000);
}

std::vector<std::byte> header_bytes(std::uint64_t number, log_id log, std::uint32_t payload) {
  batch_header header;
  header.log = log;
  header.number = batch_number{number};
  header.payload_length = payload;
  header.record_count = 1;
  std::vector<std::byte> bytes(batch_header_bytes);
  encode(header, 1, bytes.data());
  return bytes;
}

} // namespace

TEST_CASE("a recycled mark comes back as written, and no flipped bit goes unseen", "[recycled]") {
  const auto bytes = encode(recycled_mark{owner, 32 * MiB});
  const auto mark = decode_mark(bytes);
  REQUIRE(mark);
  CHECK(mark->log == owner);
  CHECK(mark->file_bytes == 32 * MiB);
  CHECK(std::memcmp(bytes.data(), "LNCOLD\0\1", 8) == 0);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    REQUIRE_FALSE(decode_mark(flipped));
  }
  CHECK_FALSE(decode_mark(byte_view{bytes}.first(63)));
}

TEST_CASE("a mark counts only where it was put, and for its log", "[recycled]") {
  sim_disk door;
  auto data = *door.open("x", {.create = true});
  CHECK_FALSE(*find_mark(*data, owner));
  REQUIRE(data->truncate(1 * MiB));
  REQUIRE(write_mark(*data, {owner, 1 * MiB}));
  CHECK(**find_mark(*data, owner) == 1 * MiB - block_bytes);
  CHECK_FALSE(*find_mark(*data, log_id{8}));
  REQUIRE(data->truncate(1 * MiB + block_bytes));
  CHECK_FALSE(*find_mark(*data, owner));
}

TEST_CASE("batches not yet reached are found wherever their headers lie", "[recycled]") {
  sim_disk door;
  auto data = *door.open("x", {.create = true});
  REQUIRE(data->truncate(4 * MiB));
  const auto end_from = [&](std::uint64_t from) {
    return *end_of_newer(*data, from, 4 * MiB - block_bytes, owner, batch_number{100});
  };
  CHECK(end_from(5000) == 5000);
  // Around the place where one piece that is read ends and the next begins, and at odd places.
  for (const std::uint64_t at :
       {5000 + 0 * MiB, 5001 + 0 * MiB, 5000 + 1 * MiB - 112, 5000 + 1 * MiB - 111,
        5000 + 1 * MiB - 1, 5000 + 1 * MiB, 3 * MiB + 77}) {
    INFO(at);
    REQUIRE(data->write_now(at, header_bytes(100, owner, 300)));
    CHECK(end_from(5000) == at + 112 + 300);
    CHECK(end_from(at) == at + 112 + 300);
    REQUIRE(data->write_now(at, header_bytes(99, owner, 300))); // reached long ago
    CHECK(end_from(5000) == 5000);
    REQUIRE(data->write_now(at, header_bytes(100, log_id{8}, 300)));
    CHECK(end_from(5000) == 5000);
    REQUIRE(data->write_now(at, std::vector<std::byte>(112)));
  }
  REQUIRE(data->write_now(3 * MiB, header_bytes(101, owner, 8 * MiB)));
  CHECK(end_from(5000) == 4 * MiB - block_bytes); // not into the mark
}

TEST_CASE("the shelf keeps so many files per log, and so many bytes for all", "[recycled]") {
  recycle_budget budget{100};
  spare_shelf one{&budget, 2};
  REQUIRE(one.reserve(40));
  one.put({"a", 40});
  REQUIRE(one.reserve(40));
  CHECK_FALSE(one.reserve(1)); // two are on their way already
  one.forgo(40);
  REQUIRE(one.reserve(30));
  one.put({"b", 30});
  CHECK(budget.held_bytes() == 70);
  {
    spare_shelf two{&budget, 2};
    CHECK_FALSE(two.reserve(31));
    REQUIRE(two.reserve(30));
    two.put({"c", 30});
  }
  CHECK(budget.held_bytes() == 70); // a log that goes gives its part back
  budget.hold(true);
  CHECK(one.take()->name == "b");
  CHECK_FALSE(one.reserve(1));
  CHECK(one.take()->name == "a");
  CHECK_FALSE(one.take());
  CHECK(budget.held_bytes() == 0);
  spare_shelf none{nullptr, 2};
  CHECK_FALSE(none.reserve(1));
}

TEST_CASE("a dropped segment becomes a segment again, its blocks left as they are", "[recycled]") {
  world here;
  here.fill_segments(2);
  here.bench.append_durably(1, 5 * MiB);
  const auto* first = &here.door.inode(here.path(here.names(layout::file_kind::closed_segment)[0]));
  here.drop_all_but_last();
  const auto kept = here.names(layout::file_kind::recycled);
  REQUIRE(kept.size() == 2);
  CHECK(here.budget.held_bytes() == 2 * 6 * (5 * MiB + batch_header_bytes));
  CHECK(&here.door.inode(here.path(kept[0])) == first);
  here.fill_segments(3);
  auto segments = here.names(layout::file_kind::closed_segment);
  segments.push_back(here.names(layout::file_kind::active_segment).at(0));
  CHECK(std::any_of(segments.begin(), segments.end(),
                    [&](const auto& name) { return &here.door.inode(here.path(name)) == first; }));
  CHECK(here.names(layout::file_kind::recycled).empty());
  CHECK(here.budget.held_bytes() == 0);
  here.bench.verify_all(here.bench.log().start_number());
  here.bench.close();
  REQUIRE(here.bench.open());
  CHECK(here.bench.log().recovered().quarantined_bytes == 0);
  here.bench.verify_all(here.bench.log().start_number());
}

TEST_CASE("kept files go with an orderly end, and with the next start", "[recycled]") {
  world here;
  here.fill_segments(3);
  here.drop_all_but_last();
  REQUIRE(here.names(layout::file_kind::recycled).size() == 2); // the bound, of three or so
  SECTION("an orderly end") {
    here.bench.close();
  }
  SECTION("the next start") {
    here.bench.stop();
  }
  REQUIRE(here.bench.open());
  CHECK(here.names(layout::file_kind::recycled).empty());
  CHECK(here.budget.held_bytes() == 0);
  here.bench.verify_all(here.bench.log().start_number());
}

TEST_CASE("what others still use is not kept", "[recycled]") {
  world here;
  here.fill_segments(2);
  here.bench.append_durably(1, 5 * MiB);
  SECTION("a backup's hard link") {
    const auto first = here.path(here.names(layout::file_kind::closed_segment)[0]);
    const auto saved = here.door.content(first);
    here.door.link(first, "data/backup.lnc");
    here.drop_all_but_last();
    CHECK(here.names(layout::file_kind::recycled).size() == 1);
    here.fill_segments(3);
    CHECK(here.door.content("data/backup.lnc") == saved);
  }
  SECTION("a read under way") {
    const auto held = *here.bench.log().segment_of(here.bench.log().start_number());
    here.drop_all_but_last();
    CHECK(here.names(layout::file_kind::recycled).size() == 1);
  }
  SECTION("no budget") {
    here.budget.hold(true);
    here.drop_all_but_last();
    CHECK(here.names(layout::file_kind::recycled).empty());
  }
}

TEST_CASE("a full disk gets back what is kept", "[recycled]") {
  world here;
  here.fill_segments(2);
  here.bench.append_durably(1, 5 * MiB);
  here.drop_all_but_last();
  REQUIRE(here.names(layout::file_kind::recycled).size() == 2);
  here.door.capacity = here.door.used();
  for (int i = 0; i < 20; ++i) // into what is granted, until more is wanted
    if (const auto sealed = here.bench.append_next(5 * MiB); sealed)
      here.bench.settle();
  CHECK(here.names(layout::file_kind::recycled).empty());
  here.bench.verify_all(here.bench.log().start_number());
}

TEST_CASE("leftovers behind the end are no torn tail: nothing is set aside or cut", "[recycled]") {
  world here;
  begin_in_recycled(here);
  const auto active = here.path(here.names(layout::file_kind::active_segment).at(0));
  const auto end = here.bench.log().segment_at(here.bench.log().segment_count() - 1).file_bytes;
  REQUIRE(*find_mark(**here.door.open(active, {}), owner));
  const auto next = here.bench.log().durable_next();
  for (int i = 0; i < 3; ++i) {
    here.bench.stop();
    here.door.crash();
    REQUIRE(here.bench.open());
    CHECK(here.quarantined() == 0);
    CHECK(here.bench.log().durable_next() == next);
    CHECK(here.door.inode(active).size() == 32 * MiB);
  }
  const auto bytes = here.door.content(active);
  CHECK(std::any_of(bytes.begin() + static_cast<std::ptrdiff_t>(align_up(end, block_bytes)),
                    bytes.end() - block_bytes, [](std::byte each) { return each != std::byte{}; }));
  here.fill_segments(1);
  here.bench.verify_all(here.bench.log().start_number());
}

TEST_CASE("a torn batch among leftovers is set aside and cut", "[recycled]") {
  world here;
  begin_in_recycled(here);
  const auto active = here.path(here.names(layout::file_kind::active_segment).at(0));
  const auto end = here.bench.log().segment_at(here.bench.log().segment_count() - 1).file_bytes;
  const auto next = here.bench.log().durable_next();
  here.bench.stop();
  // The second of two batches of a group reached the disk, the first one did not.
  here.door.overwrite(active, end + 3000, header_bytes(next.value + 1, owner, 20'000));
  REQUIRE(here.bench.open());
  CHECK(here.bench.log().recovered().quarantined_bytes == 3000 + 112 + 20'000);
  CHECK(here.quarantined() == 1);
  CHECK(here.bench.log().durable_next() == next);
  here.fill_segments(1);
  here.bench.verify_all(here.bench.log().start_number());
}

TEST_CASE("a recycled file never passes for a segment, whenever the power goes", "[recycled]") {
  // From before the drop until the recycled file is in use, a crash after each number of steps.
  std::size_t in_recycled = 0;
  for (int steps = 0; steps < 40; ++steps) {
    INFO("steps " << steps);
    world here{static_cast<std::uint64_t>(steps) + 1, small(), small_batch};
    here.fill_segments(2);
    here.bench.append_durably(1, small_batch);
    here.drop_all_but_last();
    for (int done = 0; done < steps; ++done) {
      here.bench.clock.advance_ns(1000);
      (void)here.bench.append_next(small_batch);
      here.bench.turn();
      here.door.step();
      here.bench.take();
    }
    const auto next = here.bench.log().durable_next();
    const auto first = here.bench.log().start_number();
    here.bench.stop();
    here.door.crash();
    REQUIRE(here.bench.open());
    REQUIRE(here.bench.log().state() == log_state::open);
    REQUIRE(here.bench.log().durable_next() >= next);
    REQUIRE(here.bench.log().start_number() == first);
    here.bench.verify_all(first);
    for (const auto& name : here.names(layout::file_kind::active_segment))
      in_recycled += find_mark(**here.door.open(here.path(name), {}), owner)->has_value() ? 1 : 0;
    here.bench.append_durably(2, 1000);
    here.bench.verify_all(first);
  }
  CHECK(in_recycled > 5); // or nothing was shown
}

TEST_CASE("a drop that fails half way keeps nothing to be written over", "[recycled]") {
  world here;
  here.fill_segments(2);
  here.bench.append_durably(1, 5 * MiB);
  here.door.faults.flush_in = 0;
  const auto last = here.bench.log().segment_at(here.bench.log().segment_count() - 1).id.first;
  CHECK_FALSE(here.bench.log().drop_segments_before(last));
  CHECK(here.budget.held_bytes() == 0);
  here.fill_segments(2);
  here.bench.verify_all(here.bench.log().start_number());
  // The power goes, and the names may or may not come back.
  here.bench.stop();
  here.door.crash();
  REQUIRE(here.bench.open());
  REQUIRE(here.bench.log().state() == log_state::open);
  here.bench.verify_all(here.bench.log().start_number());
  CHECK(here.names(layout::file_kind::recycled).empty());
}
