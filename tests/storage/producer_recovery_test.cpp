#include "storage/producer_recovery.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/cut_log.hpp"
#include "storage/data_dir.hpp"
#include "storage/layout.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;
using verdict = producer_verdict;

namespace {

const std::string directory = "data/segments/t/0";
const std::string file_name = directory + "/producers";

struct world {
  explicit world(std::size_t batch_bytes = 3000)
      : door(11), bench(door, {}, [this] { return door.step(); }), bytes(batch_bytes) {
    REQUIRE(bench.open());
  }

  void send(std::uint64_t producer, std::uint64_t sequence, std::uint32_t epoch = 0) {
    bench.stamp = {producer, epoch, sequence};
    REQUIRE(judged(producer, sequence, epoch) == verdict::fresh);
    bench.append_durably(1, bytes);
  }
  void send_unstamped(std::size_t batches) {
    bench.stamp = {};
    bench.append_durably(batches, bytes);
  }
  verdict judged(std::uint64_t producer, std::uint64_t sequence, std::uint32_t epoch = 0) {
    return bench.front().judge({producer, epoch, sequence}, bench.clock.wall_ns()).verdict;
  }
  void end_segment() {
    for (int i = 0; i < 4; ++i) {
      bench.tick();
      bench.settle();
    }
    bench.end_segment();
  }
  void restart() {
    bench.stop();
    door.crash();
    REQUIRE(bench.open());
  }
  std::optional<producer_snapshot> snapshot() {
    if (!door.exists(file_name))
      return std::nullopt;
    const auto text = read_small_file(door, file_name, producer_snapshot_bytes_max);
    REQUIRE(text);
    auto found = decode_producers(as_bytes(*text));
    REQUIRE(found);
    return std::move(*found);
  }

  sim_disk door;
  log_bench bench;
  std::size_t bytes;
};

} // namespace

TEST_CASE("a log knows its producers after a loss of power, from the headers of its active segment",
          "[producers]") {
  world here;
  here.send(5, 1);
  here.send_unstamped(2);
  here.send(5, 2);
  here.send(9, 1, 3);
  CHECK(here.bench.front().judge({5, 0, 1}, 0).newest == batch_number{4});
  here.restart();
  CHECK_FALSE(here.snapshot());
  CHECK(here.judged(5, 2) == verdict::duplicate);
  CHECK(here.bench.front().judge({5, 0, 1}, 0).newest == batch_number{4});
  CHECK(here.judged(5, 3) == verdict::fresh);
  CHECK(here.judged(5, 4) == verdict::gap);
  CHECK(here.judged(9, 1, 2) == verdict::stale);
  CHECK(here.judged(9, 2, 3) == verdict::fresh);
  CHECK(here.judged(7, 2) == verdict::unknown);
}

TEST_CASE("large and small batches are found alike", "[producers]") {
  for (const std::size_t bytes : {10U, 40'000U}) {
    world here{bytes};
    for (std::uint64_t n = 1; n <= 40; ++n)
      here.send(1 + n % 3, (n + 2) / 3);
    here.restart();
    CHECK(here.judged(2, 14) == verdict::duplicate);
    CHECK(here.judged(2, 15) == verdict::fresh);
    CHECK(here.judged(1, 13) == verdict::duplicate);
    CHECK(here.judged(1, 14) == verdict::fresh);
  }
}

TEST_CASE(
    "a segment that closes leaves what is known behind, and a start reads no header before it",
    "[producers]") {
  world here;
  here.send(5, 1);
  here.send(6, 1);
  here.end_segment();
  auto known = here.snapshot();
  REQUIRE(known);
  CHECK(known->log == log_id{7});
  CHECK(known->end == batch_number{3});
  CHECK(known->table.size() == 2);
  here.send(5, 2);
  here.send_unstamped(1);
  // Were the closed segment read, 6 would come back with it.
  REQUIRE(write_producers(here.door, directory, encode_producers(log_id{7}, known->end, {})));
  here.restart();
  CHECK(here.judged(6, 2) == verdict::unknown);
  CHECK(here.judged(5, 2) == verdict::duplicate);
  CHECK(here.judged(5, 3) == verdict::fresh);
}

TEST_CASE("an orderly end closes the segment with it", "[producers]") {
  world here;
  here.send(5, 1);
  here.bench.close();
  REQUIRE(here.snapshot());
  CHECK(here.snapshot()->end == batch_number{2});
  REQUIRE(here.bench.open());
  CHECK(here.judged(5, 1) == verdict::duplicate);
}

TEST_CASE("without the file, or with one that is not this log's, closed segments are read once",
          "[producers]") {
  world here;
  here.send(5, 1);
  here.end_segment();
  here.send(5, 2);
  here.end_segment();
  here.send(5, 3);
  const auto good = here.snapshot();
  REQUIRE(good);
  std::vector<std::byte> put;
  SECTION("none") {
    REQUIRE(here.door.remove(file_name));
    REQUIRE(here.door.sync_directory(directory));
  }
  SECTION("of another log") {
    put = encode_producers(log_id{8}, batch_number{2}, {});
  }
  SECTION("of a log that went on further") {
    put = encode_producers(log_id{7}, batch_number{40}, {});
  }
  SECTION("damaged") {
    put = encode_producers(log_id{7}, good->end, good->table);
    put[30] ^= std::byte{1};
  }
  if (!put.empty())
    REQUIRE(write_producers(here.door, directory, put));
  here.restart();
  CHECK(here.judged(5, 3) == verdict::duplicate);
  CHECK(here.judged(5, 4) == verdict::fresh);
  REQUIRE(here.snapshot()); // for the next start
  CHECK(here.snapshot()->end == batch_number{3});
  CHECK(here.snapshot()->table == good->table);
}

TEST_CASE("what retention drops takes no producer along", "[producers]") {
  world here;
  here.send(5, 1);
  here.end_segment();
  here.send_unstamped(1);
  here.end_segment();
  REQUIRE(here.bench.log().drop_segments_before(batch_number{3}));
  CHECK(here.bench.log().segment_count() == 0);
  here.restart();
  CHECK(here.judged(5, 1) == verdict::duplicate);
  CHECK(here.judged(5, 2) == verdict::fresh);
}

TEST_CASE("on a full disk the log opens, drops nothing, and writes the file when there is room",
          "[producers]") {
  world here;
  here.send(5, 1);
  here.end_segment();
  here.send(5, 2);
  REQUIRE(here.door.remove(file_name));
  REQUIRE(here.door.sync_directory(directory));
  here.bench.stop();
  here.door.crash();
  here.door.capacity = here.door.used();
  REQUIRE(here.bench.open());
  CHECK_FALSE(here.snapshot());
  CHECK(here.judged(5, 2) == verdict::duplicate);
  CHECK(here.bench.log().drop_segments_before(batch_number{2}) == std::size_t{0});
  here.door.capacity = ~std::uint64_t{0};
  for (int i = 0; i < 5; ++i) {
    here.bench.tick();
    here.bench.settle();
  }
  REQUIRE(here.snapshot());
  CHECK(here.snapshot()->end == batch_number{2});
  CHECK(here.bench.log().drop_segments_before(batch_number{2}) == std::size_t{1});
}

TEST_CASE("batches that are cut off are forgotten, and those that stay are not", "[producers]") {
  world here;
  here.send(5, 1);
  here.end_segment();
  here.send(5, 2);
  here.send(6, 1);
  here.end_segment();
  here.bench.stop();
  here.door.kill();
  const auto end = GENERATE(batch_number{2}, batch_number{3});
  REQUIRE(cut_log(here.door, directory, {log_id{7}, end, batch_number{1}, {}}));
  here.restart();
  CHECK(here.judged(5, end.value) == verdict::fresh);
  CHECK(here.judged(5, end.value - 1) == verdict::duplicate);
  CHECK(here.judged(6, 1) == verdict::fresh);
}

TEST_CASE("a log that begins elsewhere knows nobody", "[producers]") {
  world here;
  here.send(5, 1);
  here.end_segment();
  here.bench.stop();
  here.door.kill();
  REQUIRE(begin_log_at(here.door, directory,
                       {log_id{7}, batch_number{100}, byte_offset{9000}, {}, {}, {}, 0}));
  CHECK_FALSE(here.snapshot());
  here.restart();
  CHECK(here.judged(5, 1) == verdict::fresh);
  CHECK(here.judged(5, 2) == verdict::unknown);
}

TEST_CASE("a stamped header that has rotted is left out, the others are known", "[producers]") {
  world here;
  here.send(5, 1);
  here.send(6, 1);
  here.end_segment();
  REQUIRE(here.door.remove(file_name));
  REQUIRE(here.door.sync_directory(directory));
  const auto facts = here.bench.log().segment_at(0); // outlives the log
  here.send(7, 1);
  const auto path = directory + '/' + layout::closed_name(facts.id, facts.last_ns);
  here.bench.stop();
  {
    const auto data = here.door.open(path, {});
    REQUIRE(data);
    std::array<std::byte, 1> bit{};
    REQUIRE((*data)->read_now(96, bit));
    bit[0] ^= std::byte{4}; // the sequence of the first
    REQUIRE((*data)->write_now(96, bit));
    REQUIRE((*data)->sync());
  }
  auto producers = recover_producers(here.door, directory, log_id{7},
                                     std::array{std::make_shared<segment>(facts)}, batch_number{3});
  REQUIRE(producers);
  CHECK(producers->table.size() == 1);
  CHECK(producers->table.find(6));
}
