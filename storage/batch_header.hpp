// The record before each batch in a segment: what the batch is, and a checksum chained over the one
// before, so that leftovers of an earlier life of the file can never pass for the log.
//
//   byte  size  field
//      0     1  TLV type, 00
//      1     4  TLV length, 107
//      5     1  format version, 1
//      6     2  flags
//      8     4  header_crc: CRC-32C of (previous header_crc as 4 bytes, bytes 0..7, bytes 12..111)
//     12     4  log id
//     16     8  batch number
//     24     8  term
//     32     8  stream offset of the first payload byte
//     40     8  number of the first record
//     48     4  record count
//     52     4  payload length
//     56     4  payload checksum (the client's own; kind by flag)
//     60     4  producer epoch
//     64    16  sort key: timestamp, then node | actor | sequence
//     80     8  append time, ns since the Unix epoch, never decreasing in a log
//     88     8  producer id, 0 for none
//     96     8  producer sequence
//    104     8  reserved, zero
//
// The chain starts anew in each segment: the first header takes as its predecessor the CRC-32C of
// (log id, batch number). A segment is so verified alone, and a stranger's file does not pass.
//
// Pure functions; any thread; no allocation.
#pragma once

#include <cstdint>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "storage/options.hpp"
#include "wire/checksum.hpp"
#include "wire/sort_key.hpp"

namespace lance::storage {

namespace batch_flag {
/// Written by the broker for itself (start of a term, membership): takes no stream offsets.
inline constexpr std::uint16_t control = 1;
/// The first batch of its segment.
inline constexpr std::uint16_t starts_segment = 2;
/// The client sent it compressed (it is stored plain).
inline constexpr std::uint16_t source_compressed = 4;
/// The payload checksum is CRC-32C; else CRC-32/ISO-HDLC.
inline constexpr std::uint16_t castagnoli = 8;
/// The payload was lost to damage: repair has put zeros in its place. Its offsets and record
/// numbers stay taken; readers get `corrupt` there and go on with the next batch.
inline constexpr std::uint16_t lost = 16;
inline constexpr std::uint16_t all =
    control | starts_segment | source_compressed | castagnoli | lost;
} // namespace batch_flag

struct batch_header {
  std::uint16_t flags = 0;
  std::uint32_t header_crc = 0; ///< filled by encode() and decode()
  log_id log;
  batch_number number;
  term in_term;
  byte_offset offset;
  record_number first_record;
  std::uint32_t record_count = 0;
  std::uint32_t payload_length = 0;
  std::uint32_t payload_crc = 0;
  std::uint32_t producer_epoch = 0;
  wire::sort_key key;
  std::uint64_t append_time_ns = 0;
  std::uint64_t producer_id = 0;
  std::uint64_t producer_sequence = 0;

  friend bool operator==(const batch_header&, const batch_header&) = default;

  [[nodiscard]] bool has(std::uint16_t flag) const noexcept { return (flags & flag) != 0; }
  /// Bytes this batch takes in the stream of offsets.
  [[nodiscard]] std::uint32_t stream_bytes() const noexcept {
    return has(batch_flag::control) ? 0 : payload_length;
  }
  /// Bytes it takes in its file.
  [[nodiscard]] std::uint64_t image_bytes() const noexcept {
    return batch_header_bytes + payload_length;
  }
  [[nodiscard]] byte_offset end_offset() const noexcept {
    return byte_offset{offset.value + stream_bytes()};
  }
  [[nodiscard]] record_number end_record() const noexcept {
    return record_number{first_record.value + record_count};
  }
  [[nodiscard]] wire::checksum_kind payload_sum() const noexcept {
    return has(batch_flag::castagnoli) ? wire::checksum_kind::castagnoli
                                       : wire::checksum_kind::iso_hdlc;
  }
};

/// What the first header of a segment chains over.
[[nodiscard]] std::uint32_t chain_seed(log_id log, batch_number first) noexcept;

/// Writes batch_header_bytes to `to` and sets header.header_crc, chained over `previous_crc`.
void encode(batch_header& header, std::uint32_t previous_crc, std::byte* to) noexcept;

/// Reads a header and judges what can be judged without its predecessor: sizes, version, unknown
/// flags, reserved bytes, ranges. Errors: incomplete (fewer than batch_header_bytes), bad_format.
/// The payload length in a returned header is at most max_payload_bytes.
[[nodiscard]] result<batch_header> decode(byte_view from) noexcept;

/// True if the encoded header at `from` (already decoded) was chained over `previous_crc`.
[[nodiscard]] bool chained(byte_view from, std::uint32_t previous_crc) noexcept;

} // namespace lance::storage
