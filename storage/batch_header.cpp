#include "storage/batch_header.hpp"

#include <array>

#include "runtime/check.hpp"

namespace lance::storage {

namespace {

constexpr std::uint8_t tlv_type = 0x00;
constexpr std::uint32_t tlv_length = 107;
constexpr std::uint8_t format_version = 1;
static_assert(batch_header_bytes == 5 + tlv_length);

std::uint32_t sum_of(std::uint32_t previous_crc, const std::byte* header) noexcept {
  using wire::checksum_kind;
  std::array<std::byte, 12> head{};
  store_le(head.data(), previous_crc);
  std::memcpy(head.data() + 4, header, 8);
  const auto running = wire::checksum(checksum_kind::castagnoli, head);
  return wire::checksum_update(checksum_kind::castagnoli, running,
                               {header + 12, batch_header_bytes - 12});
}

bool ranges_hold(const batch_header& header) noexcept {
  constexpr auto limit = std::uint64_t{1} << 63; // far beyond what a log reaches: sums stay whole
  return (header.flags & ~batch_flag::all) == 0 && header.payload_length <= max_payload_bytes &&
         header.number.value < limit && header.offset.value < limit &&
         header.first_record.value < limit;
}

} // namespace

std::uint32_t chain_seed(log_id log, batch_number first) noexcept {
  std::array<std::byte, 12> bytes{};
  store_le(bytes.data(), log.value);
  store_le(bytes.data() + 4, first.value);
  return wire::checksum(wire::checksum_kind::castagnoli, bytes);
}

void encode(batch_header& header, std::uint32_t previous_crc, std::byte* to) noexcept {
  LANCE_CHECK(ranges_hold(header), header.flags, header.payload_length);
  store_le(to, tlv_type);
  store_le(to + 1, tlv_length);
  store_le(to + 5, format_version);
  store_le(to + 6, header.flags);
  store_le(to + 12, header.log.value);
  store_le(to + 16, header.number.value);
  store_le(to + 24, header.in_term.value);
  store_le(to + 32, header.offset.value);
  store_le(to + 40, header.first_record.value);
  store_le(to + 48, header.record_count);
  store_le(to + 52, header.payload_length);
  store_le(to + 56, header.payload_crc);
  store_le(to + 60, header.producer_epoch);
  wire::encode(header.key, to + 64);
  store_le(to + 80, header.append_time_ns);
  store_le(to + 88, header.producer_id);
  store_le(to + 96, header.producer_sequence);
  store_le(to + 104, std::uint64_t{0});
  header.header_crc = sum_of(previous_crc, to);
  store_le(to + 8, header.header_crc);
}

result<batch_header> decode(byte_view from) noexcept {
  if (from.size() < batch_header_bytes)
    return fail(errc::incomplete);
  const auto* at = from.data();
  if (load_le<std::uint8_t>(at) != tlv_type || load_le<std::uint32_t>(at + 1) != tlv_length ||
      load_le<std::uint8_t>(at + 5) != format_version || load_le<std::uint64_t>(at + 104) != 0)
    return fail(errc::bad_format);
  batch_header header;
  header.flags = load_le<std::uint16_t>(at + 6);
  header.header_crc = load_le<std::uint32_t>(at + 8);
  header.log = log_id{load_le<std::uint32_t>(at + 12)};
  header.number = batch_number{load_le<std::uint64_t>(at + 16)};
  header.in_term = term{load_le<std::uint64_t>(at + 24)};
  header.offset = byte_offset{load_le<std::uint64_t>(at + 32)};
  header.first_record = record_number{load_le<std::uint64_t>(at + 40)};
  header.record_count = load_le<std::uint32_t>(at + 48);
  header.payload_length = load_le<std::uint32_t>(at + 52);
  header.payload_crc = load_le<std::uint32_t>(at + 56);
  header.producer_epoch = load_le<std::uint32_t>(at + 60);
  header.key = wire::decode_sort_key(at + 64);
  header.append_time_ns = load_le<std::uint64_t>(at + 80);
  header.producer_id = load_le<std::uint64_t>(at + 88);
  header.producer_sequence = load_le<std::uint64_t>(at + 96);
  if (!ranges_hold(header))
    return fail(errc::bad_format);
  return header;
}

bool chained(byte_view from, std::uint32_t previous_crc) noexcept {
  LANCE_CHECK(from.size() >= batch_header_bytes, from.size());
  return sum_of(previous_crc, from.data()) == load_le<std::uint32_t>(from.data() + 8);
}

} // namespace lance::storage
