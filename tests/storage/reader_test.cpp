#include "storage/reader.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

struct world {
  explicit world(setup how = {}) : bench(door, how, [this] { return door.step(); }) {
    REQUIRE(bench.open());
  }
  // All payloads of the log, one behind the other.
  void append(std::initializer_list<std::size_t> sizes) {
    for (const auto size : sizes) {
      const auto payload = payload_of(bench.front().next_number().value, size);
      stream.insert(stream.end(), payload.begin(), payload.end());
      bench.append_durably(1, size);
    }
  }
  std::vector<std::byte> part(std::uint64_t start, std::size_t size) const {
    return {stream.begin() + static_cast<std::ptrdiff_t>(start),
            stream.begin() + static_cast<std::ptrdiff_t>(start + size)};
  }
  void forget_memory() { bench.cache().shrink_to(0); }
  std::string active_path() {
    const auto names = door.list("data/segments/t/0");
    for (const auto& name : *names)
      if (layout::parse(name).kind == layout::file_kind::active_segment)
        return "data/segments/t/0/" + name;
    return {};
  }

  sim_disk door{11};
  std::vector<std::byte> stream;
  log_bench bench;
};

setup many_buffers() {
  setup how;
  how.pool_buffers = 700;
  how.chosen.tail_cache_bytes = 32 * MiB;
  return how;
}

} // namespace

TEST_CASE("any range of the stream is read, from memory and from disk", "[reader]") {
  world here{many_buffers()};
  here.append({100, 5000, 1, 70'000, 300'000, 17, 4096, 8000});
  const auto end = here.stream.size();
  const auto seed = Catch::rngSeed() + 5;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  const bool from_memory = GENERATE(true, false);
  if (!from_memory)
    here.forget_memory();
  for (int i = 0; i < 300; ++i) {
    const auto start = random() % end;
    const auto room = 1 + random() % (random() % 2 == 0 ? 200 : 200'000);
    read_outcome told;
    const auto got = here.bench.read_bytes(start, room, &told);
    REQUIRE(got);
    const auto expected = std::min<std::uint64_t>(room, end - start);
    REQUIRE(got->size() == expected);
    REQUIRE(*got == here.part(start, expected));
    REQUIRE(told.start == byte_offset{start});
    REQUIRE(told.next == byte_offset{start + expected});
    REQUIRE(told.from_memory == from_memory);
  }
}

TEST_CASE("reads cross segments", "[reader]") {
  world here{many_buffers()};
  here.append({15 * MiB, 15 * MiB, 10 * MiB, 1000});
  REQUIRE(here.bench.log().segment_count() == 2);
  here.forget_memory();
  const auto start = 30 * MiB - 500;
  const auto got = here.bench.read_bytes(start, 2000);
  REQUIRE(got);
  CHECK(*got == here.part(start, 2000));
}

TEST_CASE("the end, beyond it, and the limit", "[reader]") {
  world here;
  read_outcome told;
  CHECK(here.bench.read_bytes(0, 10, &told)->empty()); // nothing there yet
  CHECK(told.next == byte_offset{0});
  here.append({1000, 1000});
  CHECK(here.bench.read_bytes(2000, 10, &told)->empty());
  CHECK(told.next == byte_offset{2000});
  CHECK(here.bench.read_bytes(2001, 10).error().code == errc::offset_out_of_range);

  std::vector<std::byte> room(5000);
  sync_read limited;
  limited.start = byte_offset{500};
  limited.limit = byte_offset{1500}; // the committed end
  limited.into = room;
  (void)here.bench.read(limited, limited.done);
  REQUIRE(limited.outcome);
  CHECK(limited.outcome->bytes == 1000);
  CHECK(limited.outcome->next == byte_offset{1500});
}

TEST_CASE("whole batches are gathered with their facts", "[reader]") {
  world here;
  here.append({1000, 2000, 3000});
  if (GENERATE(true, false))
    here.forget_memory();
  std::vector<std::byte> room(3500);
  sync_read whole;
  whole.shape = read_shape::batches;
  whole.start = byte_offset{10}; // within the first
  whole.into = room;
  (void)here.bench.read(whole, whole.done);
  REQUIRE(whole.outcome);
  CHECK(whole.outcome->start == byte_offset{0});
  CHECK(whole.outcome->bytes == 3000);
  CHECK(whole.outcome->next == byte_offset{3000});
  CHECK(whole.outcome->next_number == batch_number{3});
  REQUIRE(whole.batches.size() == 2);
  CHECK(whole.batches[1].number == batch_number{2});
  CHECK(std::equal(here.stream.begin(), here.stream.begin() + 3000, room.begin()));

  sync_read small;
  small.shape = read_shape::batches;
  small.start = byte_offset{3000};
  small.into = byte_span{room}.first(2999);
  (void)here.bench.read(small, small.done);
  CHECK(small.outcome.error().code == errc::too_large);
}

TEST_CASE("an image is the file's bytes, control batches included", "[reader]") {
  world here;
  here.append({1000});
  append_request control;
  const auto text = as_bytes("term");
  control.payload = std::span{&text, 1};
  control.payload_crc = wire::checksum(control.payload_sum, text);
  control.flags = batch_flag::control;
  REQUIRE(here.bench.front().append(control));
  here.bench.settle();
  here.append({}); // offsets went on where they were
  CHECK(here.bench.log().durable_end() == byte_offset{1000});
  const auto payload = payload_of(3, 500);
  here.stream.insert(here.stream.end(), payload.begin(), payload.end());
  REQUIRE(here.bench.append(payload));
  here.bench.settle();

  const auto file = here.door.content(here.active_path());
  if (GENERATE(true, false))
    here.forget_memory();
  std::vector<std::byte> room(5000);
  sync_read image;
  image.shape = read_shape::image;
  image.start_number = batch_number{1};
  image.into = room;
  (void)here.bench.read(image, image.done);
  REQUIRE(image.outcome);
  CHECK(image.batches.size() == 3);
  CHECK(image.outcome->bytes == 3 * batch_header_bytes + 1504);
  CHECK(std::equal(room.begin(), room.begin() + image.outcome->bytes, file.begin()));
  CHECK(image.outcome->next_number == batch_number{4});
  // Consumers do not see it.
  CHECK(*here.bench.read_bytes(0, 5000) == here.stream);
  CHECK(here.bench.log().find_offset(byte_offset{1000})->number == batch_number{3});
}

TEST_CASE("a batch that rotted on disk is an error, and what is before it is served", "[reader]") {
  world here;
  here.append({1000, 1000, 1000});
  here.forget_memory();
  const auto bad_position = 1112 + batch_header_bytes + 500; // in the second payload
  auto byte = here.door.content(here.active_path())[bad_position];
  byte ^= std::byte{1};
  here.door.overwrite(here.active_path(), bad_position, {&byte, 1});
  read_outcome told;
  const auto before = here.bench.read_bytes(0, 3000, &told);
  REQUIRE(before);
  CHECK(told.bytes == 1000);
  CHECK(here.bench.read_bytes(1000, 3000).error().code == errc::corrupt);
  CHECK(here.bench.read_bytes(1900, 10).error().code == errc::corrupt); // behind the bad byte, too
  CHECK(here.bench.read_bytes(2000, 1000));
}

TEST_CASE("a part of a large batch is verified once, and then read alone", "[reader]") {
  world here{many_buffers()};
  here.append({1 * MiB, 100});
  here.forget_memory();
  const auto read = [&](std::uint64_t start) {
    const auto before = here.bench.disk_bytes();
    const auto got = here.bench.read_bytes(start, 10'000);
    REQUIRE(got);
    CHECK(*got == here.part(start, 10'000));
    return here.bench.disk_bytes() - before;
  };
  CHECK(read(500'000) >= 1 * MiB); // all of it, for its checksum
  CHECK(read(500'000) <= 64 * KiB);
  CHECK(read(10) <= 64 * KiB);
}

TEST_CASE("a bad byte anywhere in a large batch keeps all of it back, and nothing behind it",
          "[reader]") {
  world here{many_buffers()};
  here.append({1000, 1 * MiB, 1000});
  here.forget_memory();
  const auto bad_position = 1112 + batch_header_bytes + 900'000;
  auto byte = here.door.content(here.active_path())[bad_position];
  byte ^= std::byte{1};
  here.door.overwrite(here.active_path(), bad_position, {&byte, 1});
  CHECK(here.bench.read_bytes(5000, 1000).error().code == errc::corrupt);
  const auto* known = here.bench.log().damage().find(batch_number{2});
  REQUIRE(known != nullptr);
  CHECK(*known == damaged_batch{batch_number{2}, byte_offset{1000}, byte_offset{1000 + 1 * MiB}});
  CHECK(here.bench.log().damage().take_unreported() == *known);
  // Known from now on: no second report.
  CHECK(here.bench.read_bytes(600'000, 1000).error().code == errc::corrupt);
  CHECK_FALSE(here.bench.log().damage().take_unreported());
  // And confirmed: no look at the disk.
  here.bench.log().damage().settle(batch_number{1}, batch_number{4}, std::array{*known});
  const auto before = here.bench.disk_bytes();
  CHECK(here.bench.read_bytes(600'000, 1000).error().code == errc::corrupt);
  CHECK(here.bench.disk_bytes() == before);
  CHECK_FALSE(here.bench.log().damage().take_unreported());
  // Before and behind it all is well.
  read_outcome told;
  CHECK(*here.bench.read_bytes(0, 5000, &told) == here.part(0, 1000));
  CHECK(told.next == byte_offset{1000});
  CHECK(*here.bench.read_bytes(known->end.value, 5000) == here.part(known->end.value, 1000));
}

TEST_CASE("a bad byte that was one on the way only is forgotten with the next read", "[reader]") {
  world here;
  here.append({1000, 1000});
  here.forget_memory();
  const auto position = 1112 + batch_header_bytes + 500;
  const auto good = here.door.content(here.active_path())[position];
  const auto bad = good ^ std::byte{1};
  here.door.overwrite(here.active_path(), position, {&bad, 1});
  CHECK(here.bench.read_bytes(1000, 1000).error().code == errc::corrupt);
  auto& damage = here.bench.log().damage();
  CHECK(damage.take_unreported());
  CHECK(damage.size() == 1);
  here.door.overwrite(here.active_path(), position, {&good, 1});
  CHECK(*here.bench.read_bytes(1000, 1000) == here.part(1000, 1000));
  CHECK(damage.size() == 0);
  CHECK(damage.has_news()); // for who counts
  CHECK_FALSE(damage.take_unreported());
  CHECK_FALSE(damage.has_news());
}

TEST_CASE("a rotten index of a closed segment gives no wrong byte, and a new one heals it",
          "[reader]") {
  world here{many_buffers()};
  here.append({20'000, 15 * MiB, 15 * MiB, 15 * MiB});
  here.bench.settle();
  REQUIRE(here.bench.log().segment_at(0).batches >= 2);
  const auto facts = here.bench.log().segment_at(0);
  REQUIRE(here.bench.log().is_closed_segment(facts.id));
  const auto index = "data/segments/t/0/" + layout::index_name(facts.id);
  const auto sound = here.door.content(index);
  for (std::size_t at = index_header_bytes; at < index_header_bytes + index_entry_bytes; ++at) {
    INFO("byte " << at);
    auto byte = sound[at] ^ std::byte{16};
    here.door.overwrite(index, at, {&byte, 1});
    REQUIRE(here.bench.log().reload_index(facts.id));
    here.forget_memory();
    const auto got = here.bench.read_bytes(7, 1000);
    if (got)
      CHECK(*got == here.part(7, 1000));
    else
      CHECK((got.error().code == errc::corrupt || got.error().code == errc::offset_out_of_range));
    here.door.overwrite(index, at, {&sound[at], 1});
    auto data = here.door.open("data/segments/t/0/" + layout::closed_name(facts.id, facts.last_ns),
                               {.read_only = true});
    REQUIRE(data);
    REQUIRE(replace_index(here.door, index, **data, log_id{7}, facts));
    REQUIRE(here.door.content(index) == sound);
    REQUIRE(here.bench.log().reload_index(facts.id));
    here.bench.log().damage().settle(facts.id.first, facts.end_number(), {});
    CHECK(*here.bench.read_bytes(7, 1000) == here.part(7, 1000));
  }
}

TEST_CASE("a header that rotted on disk is an error, in whatever field", "[reader]") {
  world here;
  here.append({1000, 1000, 1000});
  here.forget_memory();
  const auto field = GENERATE(24U, 60U, 80U, 96U); // term, producer epoch, time, producer sequence
  const auto which = GENERATE(0U, 1U);             // the segment's first batch, and one behind it
  const auto bad_position = which * (1000 + batch_header_bytes) + field;
  auto byte = here.door.content(here.active_path())[bad_position];
  byte ^= std::byte{1};
  here.door.overwrite(here.active_path(), bad_position, {&byte, 1});
  std::vector<std::byte> room(4000);
  sync_read image;
  image.shape = read_shape::image;
  image.start_number = batch_number{which + 1};
  image.into = room;
  (void)here.bench.read(image, image.done);
  REQUIRE_FALSE(image.outcome);
  CHECK(image.outcome.error().code == errc::corrupt);
}

TEST_CASE("an error of the device is reported as such", "[reader]") {
  world here;
  here.append({1000});
  here.forget_memory();
  here.door.faults.read_in = 0;
  CHECK(here.bench.read_bytes(0, 100).error() == error{errc::io_failed, EIO});
  CHECK(here.bench.read_bytes(0, 100));
}

TEST_CASE("more reads than the depth wait their turn, and all are answered", "[reader]") {
  setup how = many_buffers();
  how.chosen.read_depth = 2;
  world here{how};
  here.append({50'000, 50'000, 50'000, 50'000});
  here.forget_memory();
  const auto pool = *runtime::buffer_pool::make({2, 64 * KiB, -1, false});
  reader with{*pool, how.chosen};
  std::vector<std::vector<std::byte>> rooms(10, std::vector<std::byte>(60'000));
  std::vector<std::unique_ptr<sync_read>> reads;
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    reads.push_back(std::make_unique<sync_read>());
    reads.back()->start = byte_offset{i * 10'000};
    reads.back()->into = rooms[i];
    with.start(*reads.back(), here.bench.log());
    CHECK(with.under_way() <= 2);
  }
  here.door.settle();
  CHECK(with.under_way() == 0);
  CHECK(pool->lent() == 0);
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    REQUIRE(reads[i]->done);
    REQUIRE(reads[i]->outcome);
    CHECK(rooms[i] == here.part(i * 10'000, 60'000));
  }
}

TEST_CASE("fewer reads at a time when the owner says so, none, more again", "[reader]") {
  setup how = many_buffers();
  how.chosen.read_depth = 3;
  world here{how};
  here.append({50'000, 50'000, 50'000, 50'000});
  here.forget_memory();
  const auto pool = *runtime::buffer_pool::make({3, 64 * KiB, -1, false});
  reader with{*pool, how.chosen};
  std::vector<std::vector<std::byte>> rooms(12, std::vector<std::byte>(1000));
  std::vector<std::unique_ptr<sync_read>> reads;
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    reads.push_back(std::make_unique<sync_read>());
    reads.back()->start = byte_offset{i * 10'000};
    reads.back()->into = rooms[i];
    with.start(*reads.back(), here.bench.log());
  }
  const auto done = [&] {
    return std::count_if(reads.begin(), reads.end(), [](const auto& one) { return one->done; });
  };
  CHECK(with.under_way() == 3);
  with.allow(1);
  CHECK(with.under_way() == 3); // these go on
  while (done() < 3)
    here.door.step();
  CHECK(with.under_way() == 1);
  with.allow(0);
  here.door.settle();
  CHECK(done() == 4);
  CHECK(with.under_way() == 0);
  with.allow(2);
  CHECK(with.under_way() == 2);
  with.allow(100);
  CHECK(with.under_way() == 3);
  here.door.settle();
  CHECK(done() == 12);
  for (std::size_t i = 0; i < rooms.size(); ++i)
    CHECK(rooms[i] == here.part(i * 10'000, 1000));
}

TEST_CASE("reads that have begun stop before their next piece", "[reader]") {
  world here{many_buffers()};
  here.append({300'000, 300'000});
  here.bench.settle();
  here.forget_memory();
  const auto pool = *runtime::buffer_pool::make({8, 64 * KiB, -1, false});
  reader with{*pool, options{}};
  std::vector<std::vector<std::byte>> rooms(2, std::vector<std::byte>(300'000));
  std::vector<std::unique_ptr<sync_read>> reads;
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    reads.push_back(std::make_unique<sync_read>());
    reads.back()->start = byte_offset{i * 300'000};
    reads.back()->into = rooms[i];
    with.start(*reads.back(), here.bench.log());
  }
  with.allow(0);
  here.door.settle();
  CHECK(with.disk_reads() == 2);
  CHECK(with.disk_reads_done() == 2);
  CHECK(with.under_way() == 2);
  with.allow(1);
  here.door.settle();
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    REQUIRE(reads[i]->done);
    CHECK(rooms[i] == here.part(i * 300'000, 300'000));
  }
}

TEST_CASE("a read under way survives the removal of its segment", "[reader]") {
  world here{many_buffers()};
  here.append({15 * MiB, 15 * MiB, 15 * MiB});
  here.bench.settle();
  here.forget_memory();
  std::vector<std::byte> room(1 * MiB);
  sync_read reading;
  reading.into = room;
  const auto pool = *runtime::buffer_pool::make({8, 64 * KiB, -1, false});
  reader with{*pool, options{}};
  with.start(reading, here.bench.log());
  CHECK_FALSE(reading.done);
  CHECK(*here.bench.log().drop_segments_before(batch_number{3}) == 1);
  here.door.settle();
  REQUIRE(reading.done);
  REQUIRE(reading.outcome);
  CHECK(reading.outcome->bytes == room.size());
  CHECK(room == here.part(0, room.size()));
}
