// The batch index: its header, how many entries can be believed, and what is found among them. Over
// believable entries the binary searches answer as a walk through all of them would.
//
// Input: what is looked for in eight bytes, then the index file.
#include <algorithm>
#include <array>

#include "storage/index_file.hpp"
#include "tests/fuzz/target.hpp"
#include "wire/checksum.hpp"

namespace lance::fuzz {

namespace {

using storage::index_entry;
using storage::index_entry_bytes;
using storage::index_header_bytes;

constexpr std::size_t looked_for_bytes = 8;

template <class Found>
std::optional<std::size_t> walk(const storage::index_view& index, Found found) {
  for (std::size_t at = 0; at < index.size(); ++at)
    if (found(index.entry(at)))
      return at;
  return std::nullopt;
}

void check_found(const storage::index_view& index, std::uint64_t value) {
  const auto by_offset = walk(index, [=](const index_entry& entry) {
    return entry.offset.value <= value && value < entry.end_offset().value;
  });
  LANCE_CHECK(index.find_offset(byte_offset{value}) == by_offset, value);
  const auto by_record = walk(index, [=](const index_entry& entry) {
    return entry.first_record.value <= value && value < entry.end_record().value;
  });
  LANCE_CHECK(index.find_record(record_number{value}) == by_record, value);
  const auto by_time =
      walk(index, [=](const index_entry& entry) { return entry.append_time_ns >= value; });
  LANCE_CHECK(index.find_time(value) == by_time, value);
}

void check_entries(byte_view entries) {
  const storage::encoded_index index{entries};
  storage::active_index growing;
  for (std::size_t at = 0; at < index.size(); ++at) {
    const auto entry = index.entry(at);
    std::array<std::byte, index_entry_bytes> again{};
    storage::encode(entry, again.data());
    LANCE_CHECK(same(again, entries.subspan(at * index_entry_bytes, index_entry_bytes)), at);
    growing.add(entry);
    LANCE_CHECK(growing.entry(at) == entry, at);
  }
}

// Whatever the entries are, a search ends and answers a place that is there.
void check_bounds(const storage::index_view& index, std::uint64_t value) {
  for (const auto found : {index.find_offset(byte_offset{value}),
                           index.find_record(record_number{value}), index.find_time(value)})
    LANCE_CHECK(!found || *found < index.size(), index.size());
}

} // namespace

// The growing index takes memory by 64 KiB.
const std::uint64_t allocated_bytes_max = 1 * MiB;

void one_input(byte_view input) {
  decisions choose{input};
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < looked_for_bytes; ++i)
    value = value << 8U | choose.byte();
  const auto file = choose.rest();

  const auto header = storage::decode_index_header(file);
  if (!header) {
    LANCE_CHECK(storage::believable_entries(file, log_id{7}, {}).empty(), file.size());
    return;
  }
  std::array<std::byte, index_header_bytes> again{};
  storage::encode(*header, again.data());
  LANCE_CHECK(storage::decode_index_header(again) == *header, file.size());

  const auto whole = (file.size() - index_header_bytes) / index_entry_bytes * index_entry_bytes;
  const auto entries = file.subspan(index_header_bytes, whole);
  check_entries(entries);
  check_bounds(storage::encoded_index{entries}, value);

  const auto count = storage::coherent_entries(file, *header);
  LANCE_CHECK(count * index_entry_bytes <= whole, count);
  const storage::segment_id segment{header->first_number, header->first_time_ns};
  const auto believed = storage::believable_entries(file, header->log, segment);
  LANCE_CHECK(believed.size() <= count * index_entry_bytes, believed.size(), count);
  const storage::encoded_index index{believed};
  check_found(index, value);
  if (index.size() > 0)
    check_found(index, index.entry(value % index.size()).offset.value);
}

namespace {

// The header's sum, and entries that follow from one another as far as the seed says.
void repair(byte_span input, unsigned seed) {
  if (input.size() < looked_for_bytes + index_header_bytes)
    return;
  const auto file = input.subspan(looked_for_bytes);
  std::memcpy(file.data(), "LNCIDX\0\1", 8);
  store_le(file.data() + 8, static_cast<std::uint32_t>(index_entry_bytes));
  store_le(file.data() + 60, wire::checksum(wire::checksum_kind::castagnoli, file.first(60)));
  if ((seed & 8U) != 0)
    return;
  auto offset = load_le<std::uint64_t>(file.data() + 24);
  auto record = load_le<std::uint64_t>(file.data() + 32);
  std::uint32_t position = 0;
  const auto count = (file.size() - index_header_bytes) / index_entry_bytes;
  for (std::size_t at = 0; at < count; ++at) {
    auto* to = file.data() + index_header_bytes + at * index_entry_bytes;
    auto entry = storage::decode_entry(to);
    entry.offset = byte_offset{offset};
    entry.first_record = record_number{record};
    entry.position = position;
    entry.payload_length =
        static_cast<std::uint32_t>(entry.payload_length % (storage::max_payload_bytes + 1));
    if (at == 0) {
      entry.header_crc = load_le<std::uint32_t>(file.data() + 48);
      entry.append_time_ns = load_le<std::uint64_t>(file.data() + 40);
    }
    storage::encode(entry, to);
    offset = entry.end_offset().value;
    record = entry.end_record().value;
    position = static_cast<std::uint32_t>(entry.file_end());
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
