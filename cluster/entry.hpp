// What the entries of the broker's own log have in common: each begins with a format version and a
// kind. Topics (metadata.hpp) and consumer offsets (consumer_offsets.hpp) share one log, so every
// kind has its own number. Numbers never change their meaning.
//
//   byte  size  field
//      0     1  format version, 1
//      1     1  kind
//      2        fields of the kind, little-endian, to the end of the entry
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::cluster {

inline constexpr std::uint8_t entry_format_version = 1;
inline constexpr std::size_t entry_head_bytes = 2;
/// The longest entry is a topic's creation with a name of 255 bytes: 304 bytes. The rest is room
/// for kinds to come; a reader refuses what is longer.
inline constexpr std::size_t entry_bytes_max = 4096;

enum class entry_kind : std::uint8_t {
  topic_created = 0x01,
  topic_deleted = 0x02,
  policy_changed = 0x03,
  next_topic_id = 0x04,
  topic_kept = 0x05,
  offset_committed = 0x20,
  offsets_dropped = 0x21,
};

/// Which table an entry is for.
enum class entry_family : std::uint8_t { metadata, consumer_offsets };

/// The kind of an encoded entry. Errors: unsupported (a format version of a newer build),
/// bad_format (too short, too long, or a kind that version 1 does not know).
[[nodiscard]] result<entry_kind> kind_of(byte_view entry) noexcept;

[[nodiscard]] constexpr entry_family family_of(entry_kind kind) noexcept {
  return static_cast<std::uint8_t>(kind) < 0x20 ? entry_family::metadata
                                                : entry_family::consumer_offsets;
}

} // namespace lance::cluster
