// How a deed can fail. Expected failures (bad bytes, a full disk, no such topic) are values of
// result<T> and must be looked at; broken promises of our own code stop the process (check.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace lance {

/// One byte. Values below 0x80 travel to clients as `CODE: sentence` (lwp.md, Part III) and never
/// change their meaning; values from 0x80 stay inside and leave the process as INTERNAL, or as the
/// word named beside them.
enum class errc : std::uint8_t {
  topic_not_found = 0x01,
  topic_exists = 0x02,
  invalid_name = 0x03,
  invalid_request = 0x04,
  too_large = 0x05,
  offset_out_of_range = 0x06,
  not_authenticated = 0x07,
  not_authorized = 0x08,
  throttled = 0x09,
  read_only = 0x0a, ///< the disk is full or the log is fenced
  fenced = 0x0b,    ///< stale generation, epoch or producer
  unknown_member = 0x0c,
  rebalancing = 0x0d,
  corrupt = 0x0e,
  unsupported = 0x0f,
  internal = 0x10,
  forward_failed = 0x11, ///< transient; the published client retries
  not_leader = 0x12,
  out_of_sequence = 0x13,  ///< a producer's batch, of which one before is missing
  unknown_producer = 0x14, ///< not its first batch, and the log knows none of it

  io_failed = 0x80,  ///< a system call failed; error::system holds errno
  incomplete = 0x81, ///< more bytes are needed before anything can be said
  bad_frame = 0x82,  ///< magic, version, checksum or size of a frame: close without a reply
  bad_format = 0x83, ///< bytes on disk or in a file that are not what they claim to be
  bad_config = 0x84,
  exhausted = 0x85, ///< a bounded pool or queue is full; try again when something returned
  closed = 0x86,    ///< the peer or the owner has gone
  timed_out = 0x87,
  not_supported_here = 0x88, ///< this kernel or build lacks it; a fallback exists
  log_fenced =
      0x89, ///< READ_ONLY: a write or flush failed, and an operator has to say when to go on
  log_opening = 0x8a, ///< FORWARD_FAILED: the log is being recovered; try again
};

/// Eight bytes: what happened and the system's number for it, if there is one. No text: text is
/// made where a human reads it.
struct error {
  errc code{};
  std::int32_t system = 0; ///< errno, or 0

  friend bool operator==(const error&, const error&) = default;
};

template <class T = void>
using result = tl::expected<T, error>;

[[nodiscard]] inline tl::unexpected<error> fail(errc code, int system = 0) noexcept {
  return tl::unexpected<error>{error{code, system}};
}

/// The stable upper-case word of lwp.md, Part III, e.g. "TOPIC_NOT_FOUND". Inside codes answer
/// "INTERNAL".
[[nodiscard]] std::string_view wire_code(errc code) noexcept;

/// A short lower-case phrase for logs, e.g. "topic not found".
[[nodiscard]] std::string_view describe(errc code) noexcept;

/// The phrase and, if the system gave a number, its text: "input or output failed: No space left on
/// device".
[[nodiscard]] std::string describe_error(const error& what);

/// The code for a wire word, or errc::internal for a word this build does not know.
[[nodiscard]] errc code_of_wire_word(std::string_view word) noexcept;

} // namespace lance
