#include "storage/recovery.hpp"
#include "storage/segment_judge.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "memory_file.hpp"
#include "sim_disk.hpp"
#include "storage/index_file.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

const segment_id id{batch_number{5}, 1000};
constexpr log_id owner{7};

// A segment in a file, as the appender writes it, with an index of its first batches.
struct written_segment {
  explicit written_segment(std::size_t bytes, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    auto previous = chain_seed(owner, id.first);
    while (data.bytes.size() < bytes) {
      const auto size = 200 + random() % 3000;
      const auto payload = payload_of(ends.size(), size);
      batch_header header;
      header.flags = data.bytes.empty() ? batch_flag::starts_segment : std::uint16_t{0};
      header.log = owner;
      header.number = batch_number{id.first.value + ends.size()};
      header.offset = byte_offset{100 + offset};
      header.first_record = record_number{ends.size()};
      header.record_count = 1;
      header.payload_length = static_cast<std::uint32_t>(size);
      header.payload_crc = wire::checksum(header.payload_sum(), payload);
      header.append_time_ns = id.first_ns + ends.size();
      header.key = wire::sort_key::make(header.append_time_ns, node_id{1}, 0, 0);
      const sealed_batch batch{header, id, data.bytes.size()};
      data.bytes.resize(data.bytes.size() + batch_header_bytes);
      encode(header, previous, data.bytes.data() + batch.position);
      previous = header.header_crc;
      data.bytes.insert(data.bytes.end(), payload.begin(), payload.end());
      entries.push_back(entry_of({header, id, batch.position}));
      ends.push_back(data.bytes.size());
      offset += size;
    }
    whole = data.bytes;
  }
  // The index file with the entries of the batches that end at or before `position`.
  [[nodiscard]] std::vector<std::byte> index_up_to(std::uint64_t position) const {
    std::vector<std::byte> file(index_header_bytes);
    encode(header_of(owner, id, entries.front()), file.data());
    for (std::size_t i = 0; i < entries.size() && ends[i] <= position; ++i) {
      file.resize(file.size() + index_entry_bytes);
      encode(entries[i], file.data() + file.size() - index_entry_bytes);
    }
    return file;
  }
  [[nodiscard]] std::size_t whole_before(std::uint64_t position) const {
    return static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), position) -
                                    ends.begin());
  }

  memory_file data;
  std::vector<std::byte> whole;
  std::vector<index_entry> entries;
  std::vector<std::uint64_t> ends;
  std::uint64_t offset = 0;
};

void check_cut(written_segment& segment, byte_view index, std::size_t expected,
               std::uint64_t point) {
  const auto found = recover_active(segment.data, index, owner, id);
  if (!found || found->damaged || found->entries.size() != expected ||
      found->facts.file_bytes != (expected == 0 ? 0 : segment.ends[expected - 1])) {
    INFO("at byte " << point);
    REQUIRE(found);
    CHECK_FALSE(found->damaged);
    REQUIRE(found->entries.size() == expected);
    REQUIRE(found->facts.file_bytes == segment.ends[expected - 1]);
  }
}

constexpr std::uint64_t tail_bytes = 64 * KiB;

} // namespace

TEST_CASE("a segment cut at every byte of its last 64 KiB ends at the last whole batch",
          "[recovery]") {
  written_segment segment{96 * KiB, 1};
  const auto size = segment.whole.size();
  const auto index = segment.index_up_to(size - tail_bytes);
  for (auto point = size; point-- > size - tail_bytes;) {
    segment.data.bytes.resize(point);
    check_cut(segment, index, segment.whole_before(point), point);
  }
}

TEST_CASE("zeros from every byte of its last 64 KiB on end it at the last whole batch",
          "[recovery]") {
  written_segment segment{96 * KiB, 2};
  const auto size = segment.whole.size();
  const auto index = segment.index_up_to(size - tail_bytes);
  auto changed = size; // a batch whose bytes from the point on were zero anyway stays whole
  for (auto point = size; point-- > size - tail_bytes;) {
    if (segment.whole[point] != std::byte{0})
      changed = point;
    segment.data.bytes[point] = std::byte{0};
    check_cut(segment, index, segment.whole_before(changed), point);
  }
}

TEST_CASE("a byte flipped anywhere in its last 64 KiB ends it before that batch", "[recovery]") {
  written_segment segment{96 * KiB, 3};
  const auto size = segment.whole.size();
  const auto index = segment.index_up_to(size - tail_bytes);
  const auto seed = Catch::rngSeed() + 9;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  for (auto point = size - tail_bytes; point < size; ++point) {
    const auto flip = static_cast<std::byte>(1 + random() % 255);
    segment.data.bytes[point] ^= flip;
    // Batches the index vouches for are not meant here: they end before the tail begins.
    if (const auto expected = segment.whole_before(point);
        expected * index_entry_bytes + index_header_bytes >= index.size())
      check_cut(segment, index, expected, point);
    segment.data.bytes[point] ^= flip;
  }
}

TEST_CASE("garbage behind the end, a stranger's batches and an earlier life do not pass",
          "[recovery]") {
  written_segment segment{16 * KiB, 4};
  const auto count = segment.entries.size();
  const auto seed = Catch::rngSeed() + 10;
  INFO("seed " << seed);
  SECTION("random bytes") {
    std::mt19937_64 random{seed};
    for (int i = 0; i < 5000; ++i)
      segment.data.bytes.push_back(static_cast<std::byte>(random()));
    check_cut(segment, {}, count, 0);
  }
  SECTION("the same batches once more") {
    segment.data.bytes.insert(segment.data.bytes.end(), segment.whole.begin(), segment.whole.end());
    check_cut(segment, {}, count, 0);
  }
  SECTION("another segment's batches of the same log") {
    // A whole other life: same number and place, another chain.
    batch_header header;
    header.log = owner;
    header.number = batch_number{id.first.value + count};
    header.offset = segment.entries.back().end_offset();
    header.first_record = segment.entries.back().end_record();
    header.append_time_ns = 1'000'000;
    header.key = wire::sort_key::make(1'000'000, node_id{1}, 0, 0);
    header.flags = batch_flag::control;
    const auto at = segment.data.bytes.size();
    segment.data.bytes.resize(at + batch_header_bytes);
    encode(header, 12345, segment.data.bytes.data() + at);
    check_cut(segment, {}, count, 0);
    encode(header, segment.entries.back().header_crc, segment.data.bytes.data() + at);
    segment.ends.push_back(segment.data.bytes.size());
    check_cut(segment, {}, count + 1, 0); // and with the right chain it does
  }
  SECTION("another log's file under our name") {
    const auto found = recover_active(segment.data, {}, log_id{8}, id);
    REQUIRE(found);
    CHECK(found->entries.empty());
  }
}

TEST_CASE("what the index vouches for and does not verify is damage", "[recovery]") {
  written_segment segment{32 * KiB, 5};
  const auto index = segment.index_up_to(segment.whole.size());
  const auto last = segment.entries.size() - 1;
  const auto in_last = segment.entries[last].payload_position() + 3;
  segment.data.bytes[in_last] ^= std::byte{4};
  const auto found = recover_active(segment.data, index, owner, id);
  REQUIRE(found);
  CHECK(found->damaged);
  CHECK(found->entries.size() == last); // readable up to it
  // Without the index's word it would be a torn tail.
  CHECK_FALSE(recover_active(segment.data, {}, owner, id)->damaged);
  // Cut short, too.
  segment.data.bytes = segment.whole;
  segment.data.bytes.resize(segment.ends[last - 2] + 10);
  CHECK(recover_active(segment.data, index, owner, id)->damaged);
}

TEST_CASE("an index that lies about whole batches is found out, not believed", "[recovery]") {
  written_segment segment{32 * KiB, 6};
  auto index = segment.index_up_to(segment.whole.size());
  const auto seed = Catch::rngSeed() + 11;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  for (int i = 0; i < 2000; ++i) {
    auto broken = index;
    broken[random() % broken.size()] ^= static_cast<std::byte>(1 + random() % 255);
    if (random() % 4 == 0)
      broken.resize(random() % broken.size());
    const auto found = recover_active(segment.data, broken, owner, id);
    REQUIRE(found);
    REQUIRE_FALSE(found->damaged);
    REQUIRE(found->facts.file_bytes == segment.whole.size());
    REQUIRE(found->entries.size() == segment.entries.size());
  }
}

TEST_CASE("what is behind the end goes to the quarantine and is cut off", "[recovery]") {
  sim_disk door;
  REQUIRE(door.make_directories("data"));
  auto data = *door.open("data/x.lnc", {.create = true});
  const auto kept = payload_of(1, 10'000);
  const auto torn = payload_of(2, 3000);
  REQUIRE(data->write_now(0, kept));
  REQUIRE(data->write_now(20'000, torn));
  REQUIRE(data->truncate(100'000));
  options chosen;
  const tail_owner tail{owner, batch_number{2}};
  const auto aside = set_tail_aside(door, *data, 10'000, tail, "data/quarantine", "x.tail", chosen);
  REQUIRE(aside);
  CHECK(aside->bytes == 13'000);
  CHECK(aside->quarantine_path == "data/quarantine/x.tail");
  CHECK(*data->size() == 10'000);
  auto saved = door.content("data/quarantine/x.tail");
  REQUIRE(saved.size() == 13'000);
  CHECK(std::equal(torn.begin(), torn.end(), saved.begin() + 10'000));

  SECTION("a second tail of the same place gets its own file") {
    REQUIRE(data->write_now(10'000, torn));
    REQUIRE(set_tail_aside(door, *data, 10'000, tail, "data/quarantine", "x.tail", chosen));
    CHECK(door.exists("data/quarantine/x.tail.1"));
  }
  SECTION("a full quarantine takes nothing more, and then nothing is cut") {
    (GENERATE(true, false) ? chosen.quarantine_bytes = 15'999 : chosen.quarantine_files = 1);
    REQUIRE(data->write_now(10'000, torn));
    const auto refused =
        set_tail_aside(door, *data, 10'000, tail, "data/quarantine", "y.tail", chosen);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::exhausted);
    CHECK_FALSE(door.exists("data/quarantine/y.tail"));
    CHECK(*data->size() == 13'000);
  }
  SECTION("so does a full disk, and no half copy stays") {
    REQUIRE(data->write_now(10'000, payload_of(3, 1000)));
    door.capacity = door.used();
    const auto refused =
        set_tail_aside(door, *data, 10'000, tail, "data/quarantine", "y.tail", chosen);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::exhausted);
    CHECK(refused.error().system == ENOSPC);
    CHECK_FALSE(door.exists("data/quarantine/y.tail"));
    CHECK(*data->size() == 11'000);
  }
  SECTION("nothing behind the end, nothing done") {
    const auto clean = set_tail_aside(door, *data, 10'000, tail, "data/quarantine", "z", chosen);
    REQUIRE(clean);
    CHECK(clean->bytes == 0);
    CHECK(door.list("data/quarantine")->size() == 1);
  }
}

TEST_CASE("a closed segment whose index does not follow is walked", "[recovery]") {
  written_segment segment{256 * KiB, 7};
  auto index = segment.index_up_to(segment.whole.size());
  const auto last_ns = segment.entries.back().append_time_ns;
  index[index_header_bytes + 20 * index_entry_bytes + 17] ^= std::byte{1}; // its offset
  const auto found = recover_closed(segment.data, index, owner, id, last_ns);
  REQUIRE(found);
  CHECK(found->batches_walked == segment.entries.size());
  CHECK(found->sound_entries == 0);
  CHECK(found->entries == segment.entries);
}

TEST_CASE("what the ends of an index and its order do not show is the judge's", "[recovery]") {
  written_segment segment{256 * KiB, 7};
  auto index = segment.index_up_to(segment.whole.size());
  const auto last_ns = segment.entries.back().append_time_ns;
  index[index_header_bytes + 20 * index_entry_bytes + 44] ^= std::byte{1}; // its header_crc
  const auto found = recover_closed(segment.data, index, owner, id, last_ns);
  REQUIRE(found);
  CHECK(found->batches_walked == 0);
  CHECK(found->sound_entries == segment.entries.size());
  CHECK_FALSE(found->damaged);
  segment_judge judge{owner, found->facts, index};
  judge.feed(segment.data.bytes);
  judge.finish();
  CHECK(judge.verdict().whole());
  CHECK(judge.verdict().index_wrong);
}
