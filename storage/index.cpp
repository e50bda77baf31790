#include "storage/index.hpp"

#include <algorithm>
#include <string_view>

#include "runtime/check.hpp"

namespace lance::storage {

namespace {

constexpr std::string_view magic{"LNCIDX\0\1", 8};
constexpr std::uint32_t control_bit = 1U << 31;
constexpr std::uint32_t stamped_bit = 1U << 30;
// As batch headers have it: below it sums stay whole, and searches find what is there.
constexpr auto numbers_end = std::uint64_t{1} << 63;

// The number of leading entries for which `before` holds; it holds for a prefix.
template <class Before>
std::size_t partition(const index_view& index, Before before) noexcept {
  std::size_t low = 0;
  std::size_t high = index.size();
  while (low < high) {
    const auto middle = low + (high - low) / 2;
    if (before(index.entry(middle)))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

} // namespace

index_entry entry_of(const sealed_batch& batch) noexcept {
  const auto& header = batch.header;
  return {.key = header.key,
          .offset = header.offset,
          .position = static_cast<std::uint32_t>(batch.position),
          .payload_length = header.payload_length,
          .control = header.has(batch_flag::control),
          .stamped = header.producer_id != 0,
          .first_record = header.first_record,
          .record_count = header.record_count,
          .header_crc = header.header_crc,
          .in_term = header.in_term,
          .append_time_ns = header.append_time_ns};
}

void encode(const index_entry& entry, std::byte* to) noexcept {
  wire::encode(entry.key, to);
  store_le(to + 16, entry.offset.value);
  store_le(to + 24, entry.position);
  store_le(to + 28, entry.payload_length | (entry.control ? control_bit : 0) |
                        (entry.stamped ? stamped_bit : 0));
  store_le(to + 32, entry.first_record.value);
  store_le(to + 40, entry.record_count);
  store_le(to + 44, entry.header_crc);
  store_le(to + 48, entry.in_term.value);
  store_le(to + 56, entry.append_time_ns);
}

index_entry decode_entry(const std::byte* from) noexcept {
  const auto length = load_le<std::uint32_t>(from + 28);
  return {.key = wire::decode_sort_key(from),
          .offset = byte_offset{load_le<std::uint64_t>(from + 16)},
          .position = load_le<std::uint32_t>(from + 24),
          .payload_length = length & ~(control_bit | stamped_bit),
          .control = (length & control_bit) != 0,
          .stamped = (length & stamped_bit) != 0,
          .first_record = record_number{load_le<std::uint64_t>(from + 32)},
          .record_count = load_le<std::uint32_t>(from + 40),
          .header_crc = load_le<std::uint32_t>(from + 44),
          .in_term = term{load_le<std::uint64_t>(from + 48)},
          .append_time_ns = load_le<std::uint64_t>(from + 56)};
}

index_header header_of(const sealed_batch& first) noexcept {
  const auto& header = first.header;
  return {header.log,          header.number,         header.offset,
          header.first_record, header.append_time_ns, header.header_crc};
}

void encode(const index_header& header, std::byte* to) noexcept {
  std::memset(to, 0, index_header_bytes);
  std::memcpy(to, magic.data(), magic.size());
  store_le(to + 8, static_cast<std::uint32_t>(index_entry_bytes));
  store_le(to + 12, header.log.value);
  store_le(to + 16, header.first_number.value);
  store_le(to + 24, header.first_offset.value);
  store_le(to + 32, header.first_record.value);
  store_le(to + 40, header.first_time_ns);
  store_le(to + 48, header.first_crc);
  store_le(to + 60, wire::checksum(wire::checksum_kind::castagnoli, {to, 60}));
}

result<index_header> decode_index_header(byte_view from) noexcept {
  if (from.size() < index_header_bytes)
    return fail(errc::incomplete);
  const auto* at = from.data();
  if (std::memcmp(at, magic.data(), magic.size()) != 0 ||
      load_le<std::uint32_t>(at + 8) != index_entry_bytes ||
      load_le<std::uint32_t>(at + 60) != wire::checksum(wire::checksum_kind::castagnoli, {at, 60}))
    return fail(errc::bad_format);
  return index_header{log_id{load_le<std::uint32_t>(at + 12)},
                      batch_number{load_le<std::uint64_t>(at + 16)},
                      byte_offset{load_le<std::uint64_t>(at + 24)},
                      record_number{load_le<std::uint64_t>(at + 32)},
                      load_le<std::uint64_t>(at + 40),
                      load_le<std::uint32_t>(at + 48)};
}

std::size_t coherent_entries(byte_view file, const index_header& header) noexcept {
  LANCE_CHECK(file.size() >= index_header_bytes, file.size());
  const auto count = (file.size() - index_header_bytes) / index_entry_bytes;
  // What an entry before the first would have to be.
  index_entry previous;
  previous.offset = header.first_offset;
  previous.first_record = header.first_record;
  previous.append_time_ns = header.first_time_ns;
  std::uint64_t position = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto entry = decode_entry(file.data() + index_header_bytes + i * index_entry_bytes);
    if (entry.position != position || entry.offset != previous.end_offset() ||
        entry.first_record != previous.end_record() || entry.in_term < previous.in_term ||
        entry.append_time_ns < previous.append_time_ns || entry.key <= previous.key ||
        entry.payload_length > max_payload_bytes || entry.offset.value >= numbers_end ||
        entry.first_record.value >= numbers_end ||
        (i == 0 &&
         (entry.header_crc != header.first_crc || entry.append_time_ns != header.first_time_ns)))
      return i;
    position = entry.file_end();
    previous = entry;
  }
  return count;
}

std::optional<std::size_t> index_view::find_offset(byte_offset offset) const noexcept {
  // Control batches share the offset of what follows them, so the last of equals is the one.
  const auto after = partition(*this, [=](const auto& entry) { return entry.offset <= offset; });
  if (after == 0 || entry(after - 1).end_offset() <= offset)
    return std::nullopt;
  return after - 1;
}

std::optional<std::size_t> index_view::find_record(record_number record) const noexcept {
  const auto after =
      partition(*this, [=](const auto& entry) { return entry.first_record <= record; });
  if (after == 0 || entry(after - 1).end_record() <= record)
    return std::nullopt;
  return after - 1;
}

std::optional<std::size_t> index_view::find_time(std::uint64_t time_ns) const noexcept {
  const auto first =
      partition(*this, [=](const auto& entry) { return entry.append_time_ns < time_ns; });
  if (first == size())
    return std::nullopt;
  return first;
}

void active_index::add(const index_entry& entry) {
  const auto block_at = size_ / block_entries;
  if (block_at == blocks_.size())
    blocks_.push_back(std::make_unique<block>());
  encode(entry, blocks_[block_at]->data() + size_ % block_entries * index_entry_bytes);
  ++size_;
}

index_entry active_index::entry(std::size_t at) const noexcept {
  LANCE_CHECK(at < size_, at, size_);
  return decode_entry(blocks_[at / block_entries]->data() + at % block_entries * index_entry_bytes);
}

byte_view active_index::encoded(std::size_t from, std::size_t to) const noexcept {
  LANCE_CHECK(from < to && to <= size_, from, to);
  const auto in_block = from % block_entries;
  const auto count = std::min(to - from, block_entries - in_block);
  return {blocks_[from / block_entries]->data() + in_block * index_entry_bytes,
          count * index_entry_bytes};
}

} // namespace lance::storage
