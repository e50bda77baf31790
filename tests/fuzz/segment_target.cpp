// A segment file with any bytes in it: the walk over its batches, recovery as an active and as a
// closed one with an index that is right, missing, cut, damaged or somebody else's, and `lnc`'s
// examination. They agree on where the valid bytes end, and change nothing.
//
// Input: what index the segment has, where and how it is damaged, then the segment.
#include <algorithm>
#include <array>

#include "storage/batch_walk.hpp"
#include "storage/examine.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/recovery.hpp"
#include "tests/fuzz/memory_disk.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/storage/memory_file.hpp"

namespace lance::fuzz {

namespace {

using storage::batch_header_bytes;
using storage::index_entry;
using storage::index_entry_bytes;
using storage::index_header_bytes;

constexpr std::size_t decision_bytes = 4;

struct story {
  log_id log{7};
  storage::segment_id segment{batch_number{1}, 1};
  std::vector<index_entry> entries; ///< of the batches that hold
  std::uint64_t end = 0;
};

// Who the segment says it is, as far as its first header can be read.
story walk(storage::file& data, byte_view bytes) {
  story found;
  if (const auto first = storage::decode(bytes)) {
    found.log = first->log;
    found.segment = {first->number, first->append_time_ns};
  }
  storage::batch_walk batches{data, found.log, found.segment, true};
  while (true) {
    const auto batch = batches.next();
    LANCE_CHECK(batch.has_value(), found.entries.size());
    if (!*batch)
      break;
    LANCE_CHECK((*batch)->position == found.end, found.end);
    LANCE_CHECK((*batch)->file_end() <= bytes.size(), found.end);
    // What holds is written the same again.
    std::array<std::byte, batch_header_bytes> again{};
    auto header = (*batch)->header;
    const auto previous = found.entries.empty()
                              ? storage::chain_seed(found.log, found.segment.first)
                              : found.entries.back().header_crc;
    storage::encode(header, previous, again.data());
    LANCE_CHECK(same(again, bytes.subspan(found.end, batch_header_bytes)), found.end);
    found.entries.push_back(storage::entry_of(**batch));
    found.end = (*batch)->file_end();
    LANCE_CHECK(batches.position() == found.end, found.end);
  }
  return found;
}

std::vector<std::byte> index_of(const story& of) {
  if (of.entries.empty())
    return {};
  std::vector<std::byte> file(index_header_bytes + of.entries.size() * index_entry_bytes);
  storage::encode(storage::header_of(of.log, of.segment, of.entries.front()), file.data());
  for (std::size_t at = 0; at < of.entries.size(); ++at)
    storage::encode(of.entries[at], file.data() + index_header_bytes + at * index_entry_bytes);
  return file;
}

void check_facts(const storage::recovered_segment& found, const story& of, std::size_t file_bytes) {
  LANCE_CHECK(found.facts.id == of.segment, found.facts.batches);
  LANCE_CHECK(found.facts.file_bytes <= file_bytes, found.facts.file_bytes, file_bytes);
  LANCE_CHECK(found.facts.first_offset <= found.facts.end_offset, found.facts.batches);
  LANCE_CHECK(found.facts.first_record <= found.facts.end_record, found.facts.batches);
}

// With an index that holds as far as it goes, recovery ends where the walk ends.
void check_active(storage::file& data, const story& of, byte_view index, bool index_holds,
                  std::size_t file_bytes) {
  const auto found = storage::recover_active(data, index, of.log, of.segment);
  LANCE_CHECK(found.has_value(), file_bytes);
  check_facts(*found, of, file_bytes);
  if (!index_holds)
    return;
  LANCE_CHECK(!found->damaged, found->facts.batches);
  LANCE_CHECK(found->entries == of.entries, found->entries.size(), of.entries.size());
  LANCE_CHECK(found->facts.file_bytes == of.end, found->facts.file_bytes, of.end);
}

void check_closed(storage::file& data, const story& of, byte_view index, bool index_holds,
                  std::size_t file_bytes) {
  const auto last_ns = of.entries.empty() ? 0 : of.entries.back().append_time_ns;
  const auto found = storage::recover_closed(data, index, of.log, of.segment, last_ns);
  LANCE_CHECK(found.has_value(), file_bytes);
  check_facts(*found, of, file_bytes);
  if (index_holds && of.end == file_bytes && file_bytes > 0) {
    LANCE_CHECK(!found->damaged, found->facts.batches);
    LANCE_CHECK(found->facts.batches == of.entries.size(), found->facts.batches);
    LANCE_CHECK(found->facts.file_bytes == of.end, found->facts.file_bytes, of.end);
  }
}

void check_examination(const story& of, byte_view bytes, byte_view index, bool closed) {
  namespace layout = storage::layout;
  const auto last_ns = of.entries.empty() ? 0 : of.entries.back().append_time_ns;
  const auto name =
      closed ? layout::closed_name(of.segment, last_ns) : layout::active_name(of.segment);
  const auto path = "log/" + name;
  memory_disk door;
  door.files[path] = copy_of(bytes);
  if (!index.empty())
    door.files["log/" + layout::index_name(of.segment)] = copy_of(index);
  const auto found = storage::examine(door, path);
  LANCE_CHECK(found.has_value(), bytes.size());
  LANCE_CHECK(found->file_bytes == bytes.size(), found->file_bytes);
  LANCE_CHECK(found->batches.empty() || found->entries() == of.entries, found->batches.size());
  LANCE_CHECK((found->state == storage::segment_state::ok) ||
                  found->state == storage::segment_state::empty || !found->problem.empty(),
              static_cast<int>(found->state));
  if (found->state == storage::segment_state::ok)
    LANCE_CHECK(!found->batches.empty() && found->batch_bytes == of.end, found->batch_bytes,
                of.end);
}

} // namespace

// Three walks have a window of 256 KiB each, one at a time; the file is there a few times.
const std::uint64_t allocated_bytes_max = 2 * MiB;

void one_input(byte_view input) {
  decisions choose{input};
  const auto how = choose.byte();
  const auto place = choose.byte() | std::size_t{choose.byte()} << 8U;
  const auto change = std::byte{choose.byte()};
  const auto bytes = choose.rest();

  storage::testing::memory_file data;
  data.bytes = copy_of(bytes);
  const auto of = walk(data, bytes);
  auto index = index_of(of);
  bool index_holds = true;
  switch (how % 4) {
  case 0:
    break;
  case 1: // behind, as after a crash
    index.resize(std::min(index.size(), place));
    break;
  case 2:
    index.clear();
    break;
  default:
    if (!index.empty())
      index[place % index.size()] ^= change;
    index_holds = change == std::byte{0};
  }
  const bool closed = (how & 4U) != 0;
  if (closed)
    check_closed(data, of, index, index_holds, bytes.size());
  else
    check_active(data, of, index, index_holds, bytes.size());
  if ((how & 8U) != 0)
    check_examination(of, bytes, index, closed);
  LANCE_CHECK(same(data.bytes, bytes), bytes.size());
}

namespace {

// Headers that follow from one another, and sums that hold, as far as the seed says.
void repair(byte_span input, unsigned seed) {
  if (input.size() < decision_bytes)
    return;
  const auto file = input.subspan(decision_bytes);
  const bool in_order = (seed & 8U) == 0;
  std::uint32_t previous_crc = 0;
  std::optional<storage::batch_header> previous;
  for (std::size_t at = 0; file.size() - at >= batch_header_bytes;) {
    auto* to = file.data() + at;
    to[0] = std::byte{0};
    store_le<std::uint32_t>(to + 1, 107);
    to[5] = std::byte{1};
    store_le<std::uint16_t>(to + 6, load_le<std::uint16_t>(to + 6) & storage::batch_flag::all);
    store_le<std::uint64_t>(to + 104, 0);
    auto header = storage::decode(byte_view{file}.subspan(at));
    const auto room = file.size() - at - batch_header_bytes;
    if (!header) { // a number out of its range
      for (const std::size_t field : {16, 32, 40})
        store_le(to + field, load_le<std::uint64_t>(to + field) >> 1U);
      store_le<std::uint32_t>(to + 52, load_le<std::uint32_t>(to + 52) % 1024);
      header = storage::decode(byte_view{file}.subspan(at));
    }
    if (header->payload_length > room) {
      if ((seed & 16U) != 0)
        return; // torn
      header->payload_length = static_cast<std::uint32_t>(room);
    }
    const auto starts = storage::batch_flag::starts_segment;
    header->flags =
        static_cast<std::uint16_t>(previous ? header->flags & ~starts : header->flags | starts);
    if (!previous) {
      previous_crc = storage::chain_seed(header->log, header->number);
    } else if (in_order) {
      header->log = previous->log;
      header->number = batch_number{previous->number.value + 1};
      header->offset = previous->end_offset();
      header->first_record = previous->end_record();
      header->in_term = std::max(header->in_term, previous->in_term);
      header->append_time_ns = std::max(header->append_time_ns, previous->append_time_ns);
      if (header->key <= previous->key) {
        header->key = previous->key;
        ++header->key.high;
      }
    }
    constexpr auto limit = std::uint64_t{1} << 63U;
    if (header->number.value >= limit || header->offset.value >= limit ||
        header->first_record.value >= limit)
      return;
    header->payload_crc =
        wire::checksum(header->payload_sum(),
                       byte_view{file}.subspan(at + batch_header_bytes, header->payload_length));
    storage::encode(*header, previous_crc, to);
    previous_crc = header->header_crc;
    at += header->image_bytes();
    previous = *header;
  }
}

} // namespace
} // namespace lance::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t size_max, unsigned seed) {
  return lance::fuzz::mutate_and_repair(data, size, size_max, seed, [seed](lance::byte_span bytes) {
    lance::fuzz::repair(bytes, seed);
  });
}
