#include "wire/frame.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "runtime/check.hpp"

namespace lance::wire {

namespace {

constexpr std::array magic{std::byte{0x4C}, std::byte{0x41}, std::byte{0x4E}, std::byte{0x43}};
constexpr std::byte version{1};

// Where the header's fields begin.
constexpr std::size_t version_at = 4;
constexpr std::size_t flags_at = 5;
constexpr std::size_t reserved_at = 6;
constexpr std::size_t header_crc_at = 8;
constexpr std::size_t batch_id_at = 12;
constexpr std::size_t timestamp_at = 20;
constexpr std::size_t record_count_at = 28;
constexpr std::size_t payload_length_at = 32;
constexpr std::size_t payload_crc_at = 36;
constexpr std::size_t topic_id_at = 40;
static_assert(topic_id_at + 4 == frame_header_bytes);

std::uint8_t flags_of(const std::byte* header) noexcept {
  return std::to_integer<std::uint8_t>(header[flags_at]);
}

// Senders write 0 into the reserved bytes, so the table answers; other values are covered by the
// sum but have no meaning, and are allowed.
std::uint32_t sum_of_first_eight(checksum_kind kind, const std::byte* header) noexcept {
  if (load_le<std::uint16_t>(header + reserved_at) == 0)
    return header_checksum(kind, flags_of(header));
  return checksum(kind, {header, header_crc_at});
}

std::optional<checksum_kind> kind_that_holds(const std::byte* header,
                                             std::optional<checksum_kind> expected) noexcept {
  const auto claimed = load_le<std::uint32_t>(header + header_crc_at);
  for (const auto kind : {checksum_kind::iso_hdlc, checksum_kind::castagnoli})
    if (expected.value_or(kind) == kind && sum_of_first_eight(kind, header) == claimed)
      return kind;
  return std::nullopt;
}

frame_header read_fields(const std::byte* from) noexcept {
  return {.flags = flags_of(from),
          .batch_id = load_le<std::uint64_t>(from + batch_id_at),
          .timestamp_ns = load_le<std::uint64_t>(from + timestamp_at),
          .record_count = load_le<std::uint32_t>(from + record_count_at),
          .payload_length = load_le<std::uint32_t>(from + payload_length_at),
          .payload_crc = load_le<std::uint32_t>(from + payload_crc_at),
          .topic_id = load_le<std::uint32_t>(from + topic_id_at)};
}

} // namespace

frame_kind classify(std::uint8_t flags, std::uint32_t payload_length) noexcept {
  if ((flags & flag::control) != 0)
    return frame_kind::control;
  if ((flags & flag::keepalive) != 0)
    return frame_kind::keepalive;
  if ((flags & flag::ack) != 0)
    return frame_kind::ack;
  if ((flags & flag::backpressure) != 0)
    return frame_kind::backpressure;
  if ((flags & flag::batch_mode) != 0 || payload_length > 0)
    return frame_kind::ingest;
  return frame_kind::unknown;
}

frame_header ack_header(std::uint64_t batch_id) noexcept {
  return {.flags = flag::ack, .batch_id = batch_id};
}

frame_header keepalive_header() noexcept {
  return {.flags = flag::keepalive};
}

frame_header backpressure_header() noexcept {
  return {.flags = flag::backpressure};
}

frame_header ingest_header(log_id log, std::uint64_t batch_id, std::uint64_t timestamp_ns,
                           std::uint32_t record_count) noexcept {
  return {.flags = flag::batch_mode,
          .batch_id = batch_id,
          .timestamp_ns = timestamp_ns,
          .record_count = record_count,
          .topic_id = log.value};
}

frame_header seal(frame_header header, checksum_kind kind, byte_view payload) noexcept {
  LANCE_CHECK(payload.size() <= std::numeric_limits<std::uint32_t>::max(), payload.size());
  header.payload_length = static_cast<std::uint32_t>(payload.size());
  header.payload_crc = checksum(kind, payload);
  return header;
}

void encode_header(const frame_header& header, checksum_kind kind, std::byte* to) noexcept {
  std::copy(magic.begin(), magic.end(), to);
  to[version_at] = version;
  to[flags_at] = std::byte{header.flags};
  store_le<std::uint16_t>(to + reserved_at, 0);
  store_le(to + header_crc_at, header_checksum(kind, header.flags));
  store_le(to + batch_id_at, header.batch_id);
  store_le(to + timestamp_at, header.timestamp_ns);
  store_le(to + record_count_at, header.record_count);
  store_le(to + payload_length_at, header.payload_length);
  store_le(to + payload_crc_at, header.payload_crc);
  store_le(to + topic_id_at, header.topic_id);
}

std::size_t encode_frame(const frame_header& header, checksum_kind kind, byte_view payload,
                         byte_span to) noexcept {
  LANCE_CHECK(to.size() >= frame_header_bytes + payload.size(), to.size(), payload.size());
  encode_header(seal(header, kind, payload), kind, to.data());
  std::copy(payload.begin(), payload.end(), to.begin() + frame_header_bytes);
  return frame_header_bytes + payload.size();
}

judgement judge_header(byte_view bytes, std::optional<checksum_kind> kind,
                       std::uint32_t payload_limit) noexcept {
  judgement said;
  const auto magic_seen = std::min(bytes.size(), magic.size());
  if (!std::equal(magic.begin(), magic.begin() + magic_seen, bytes.begin())) {
    said.outcome = verdict::bad_magic;
    return said;
  }
  if (bytes.size() > version_at && bytes[version_at] != version) {
    said.outcome = verdict::bad_version;
    return said;
  }
  if (bytes.size() < batch_id_at)
    return said;
  const auto holds = kind_that_holds(bytes.data(), kind);
  if (!holds) {
    said.outcome = verdict::bad_header_crc;
    return said;
  }
  said.kind = *holds;
  if (bytes.size() < payload_crc_at)
    return said;
  if (load_le<std::uint32_t>(bytes.data() + payload_length_at) > payload_limit) {
    said.outcome = verdict::too_large;
    return said;
  }
  if (bytes.size() < frame_header_bytes)
    return said;
  said.outcome = verdict::ok;
  said.header = read_fields(bytes.data());
  return said;
}

bool payload_ok(const frame_header& header, checksum_kind kind, byte_view payload) noexcept {
  LANCE_CHECK(payload.size() == header.payload_length, payload.size(), header.payload_length);
  if (payload.empty())
    return true; // the header's payload_crc is not looked at then, as in the published broker
  // record 2/9: frame recognised, checksums hold
  return checksum(kind, payload) == header.payload_crc;
}

frame_cut frame_cutter::next(byte_view bytes) noexcept {
  const auto said = judge_header(bytes, kind_, payload_limit_);
  if (said.outcome == verdict::need_more)
    return {.outcome = verdict::need_more, .wanted = frame_header_bytes};
  if (said.outcome != verdict::ok)
    return {.outcome = said.outcome};
  kind_ = said.kind;
  const auto whole = frame_header_bytes + said.header.payload_length;
  if (bytes.size() < whole)
    return {.outcome = verdict::need_more, .wanted = whole};
  const auto payload = bytes.subspan(frame_header_bytes, said.header.payload_length);
  if (!payload_ok(said.header, said.kind, payload))
    return {.outcome = verdict::bad_payload_crc};
  return {.outcome = verdict::ok, .header = said.header, .payload = payload, .consumed = whole};
}

} // namespace lance::wire
