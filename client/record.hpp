// Records in payloads. Framed payloads are TLV records (wire/tlv.hpp): type 01 is a value, type 10
// a value with a key (`key_len u16 | key | value`). Raw payloads are bytes as they are. Pure; any
// thread; views point into the bytes given.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/types.hpp"
#include "wire/frame.hpp"
#include "wire/tlv.hpp"

namespace lance::client {

/// Whether payloads are TLV records or opaque.
enum class framing : std::uint8_t { records, raw };

namespace record_type {
inline constexpr std::uint8_t value = wire::tlv_type::data;
inline constexpr std::uint8_t keyed = 0x10;
/// What a consumer gives the payload of a batch that is no sequence of records.
inline constexpr std::uint8_t raw = 0x00;
} // namespace record_type

inline constexpr std::size_t key_bytes_max = 0xffff;

/// A record as consumers get it. Where it is not known, `number` is absent (the batch's count is
/// not the count of its records, or the server does not number) and `time_ns` is 0.
struct record {
  byte_view value;
  std::optional<byte_view> key;
  byte_offset offset; ///< of its first byte, framing included
  std::optional<record_number> number;
  std::uint64_t time_ns = 0; ///< when the batch was appended, ns since the Unix epoch
  std::uint8_t type = record_type::value;
};

/// Bytes the record takes in a payload.
[[nodiscard]] std::size_t encoded_bytes(framing form, std::optional<byte_view> key,
                                        byte_view value) noexcept;

/// Appends the record. The key is at most key_bytes_max and only in framed payloads; the whole is
/// at most wire::payload_bytes_max.
void encode_record(std::vector<std::byte>& to, framing form, std::optional<byte_view> key,
                   byte_view value);

/// Splits the value of a TLV record into key and value, where its type has a key; a value too short
/// for its key is left whole.
[[nodiscard]] record decode_record(const wire::tlv_record& from) noexcept;

/// How many records the payload is, or nothing when it is not wholly made of records of the types
/// above. An empty payload has none.
[[nodiscard]] std::optional<std::uint64_t> count_records(byte_view payload) noexcept;

} // namespace lance::client
