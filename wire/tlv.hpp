// TLV records: `type u8 | length u32 | value`, and the extended form `FF | type u16 | length u32 |
// value` (wire/README.md, "Records"). The broker stores payloads unseen; clients and tools frame
// and walk records with this. Pure functions, any thread; views point into the bytes given.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/types.hpp"

namespace lance::wire {

/// The published client helper's names. The broker gives types no meaning.
namespace tlv_type {
inline constexpr std::uint8_t batch_header = 0x00; ///< on disk only, in front of each batch
inline constexpr std::uint8_t data = 0x01;
inline constexpr std::uint8_t tombstone = 0x02;
inline constexpr std::uint8_t transaction_marker = 0x03;
inline constexpr std::uint8_t checkpoint = 0x04;
inline constexpr std::uint8_t schema_change = 0x05;
inline constexpr std::uint8_t compression_marker = 0x10;
inline constexpr std::uint8_t user_first = 0x80;
inline constexpr std::uint8_t user_last = 0xfd;
inline constexpr std::uint8_t extended = 0xff; ///< never sent to clients: they read five bytes
} // namespace tlv_type

inline constexpr std::size_t tlv_header_bytes = 5;
inline constexpr std::size_t tlv_extended_header_bytes = 7;

/// The published client's limit; a record cannot be longer than a frame anyway.
inline constexpr std::uint32_t tlv_value_bytes_max = 16 * MiB;

/// Whether type FF begins a seven-byte header (our tools) or is a type like any other (clients).
enum class tlv_form : std::uint8_t { standard, extended };

struct tlv_header {
  std::uint8_t type = tlv_type::data;
  std::uint16_t extended_type = 0; ///< with type FF in the extended form
  std::uint32_t length = 0;        ///< of the value
  friend bool operator==(const tlv_header&, const tlv_header&) = default;
};

struct tlv_record {
  tlv_header header{};
  byte_view value{};
};

// --- writing -----------------------------------------------------------------------------------

[[nodiscard]] constexpr std::size_t tlv_record_bytes(std::size_t value_bytes) noexcept {
  return tlv_header_bytes + value_bytes;
}

/// Writes the header in the given form to `to`, which has room for tlv_extended_header_bytes, and
/// returns how many bytes that was. Type FF is allowed in the extended form only.
std::size_t encode_tlv_header(const tlv_header& header, tlv_form form, std::byte* to) noexcept;

/// Appends one standard record. `value` is at most tlv_value_bytes_max, `type` is not FF.
void append_record(std::vector<std::byte>& to, byte_view value, std::uint8_t type = tlv_type::data);

/// Writes one standard record to the front of `to` and returns its length, or 0 when it does not
/// fit and nothing was written.
[[nodiscard]] std::size_t write_record(byte_span to, byte_view value,
                                       std::uint8_t type = tlv_type::data) noexcept;

// --- reading -----------------------------------------------------------------------------------

enum class tlv_state : std::uint8_t {
  reading,    ///< next() may find another record
  done,       ///< the bytes end where a record ends
  incomplete, ///< they end inside a record: more may come, nothing is damaged
  too_large,  ///< a value longer than the limit is announced
};

/// Walks the records of a buffer. Costs nothing per byte of value.
class tlv_reader {
 public:
  explicit tlv_reader(byte_view bytes, tlv_form form = tlv_form::standard,
                      std::uint32_t value_limit = tlv_value_bytes_max) noexcept
      : bytes_(bytes), form_(form), value_limit_(value_limit) {}

  /// The next whole record, or nothing: then state() says why.
  [[nodiscard]] std::optional<tlv_record> next() noexcept;

  [[nodiscard]] tlv_state state() const noexcept { return state_; }
  [[nodiscard]] std::uint64_t records() const noexcept { return records_; }
  /// Bytes of the whole records seen so far.
  [[nodiscard]] std::size_t valid_bytes() const noexcept { return valid_bytes_; }

 private:
  byte_view bytes_;
  tlv_form form_;
  std::uint32_t value_limit_;
  tlv_state state_ = tlv_state::reading;
  std::uint64_t records_ = 0;
  std::size_t valid_bytes_ = 0;
};

/// What a whole walk found.
struct tlv_extent {
  std::uint64_t records = 0;
  std::size_t valid_bytes = 0;
  tlv_state state = tlv_state::done; ///< done, incomplete or too_large
};
[[nodiscard]] tlv_extent measure_records(byte_view bytes, tlv_form form = tlv_form::standard,
                                         std::uint32_t value_limit = tlv_value_bytes_max) noexcept;

} // namespace lance::wire
