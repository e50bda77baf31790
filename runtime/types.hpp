// Numbers that cannot be mixed up, and units. Everybody's words.
#pragma once

#include <compare>
#include <cstdint>

namespace lance {

/// A number of one kind. Differences and sums are taken on `.value`, so that mixing kinds shows.
template <class Tag, class Rep>
struct strong {
  Rep value{};

  constexpr strong() noexcept = default;
  explicit constexpr strong(Rep number) noexcept : value(number) {}
  friend constexpr auto operator<=>(const strong&, const strong&) noexcept = default;
};

using topic_id = strong<struct topic_id_tag, std::uint32_t>; ///< equals the log id of partition 0
using log_id = strong<struct log_id_tag, std::uint32_t>;     ///< LWP's `topic_id` field
using node_id = strong<struct node_id_tag, std::uint16_t>;
using term = strong<struct term_tag, std::uint64_t>;
using byte_offset = strong<struct byte_offset_tag, std::uint64_t>; ///< in a log's payload stream
using record_number = strong<struct record_number_tag, std::uint64_t>;
using batch_number = strong<struct batch_number_tag, std::uint64_t>;

/// When the acknowledgement of a batch leaves.
enum class ack_mode : std::uint8_t {
  l1, ///< the leader has it, replication follows
  l2, ///< a majority of all members has it
};

/// What "has it" means: per topic, shown wherever acknowledgements are counted. Stored in entries:
/// never renumbered.
enum class durability : std::uint8_t {
  fsync,   ///< written and flushed: survives loss of power
  written, ///< the device (or the kernel, without O_DIRECT) has it; flushed up to a second later
  memory,  ///< acknowledged at once, written behind: lost with the process
};

inline constexpr std::uint64_t KiB = 1024;
inline constexpr std::uint64_t MiB = 1024 * KiB;
inline constexpr std::uint64_t GiB = 1024 * MiB;

inline constexpr std::uint64_t us_in_ns = 1'000;
inline constexpr std::uint64_t ms_in_ns = 1'000'000;
inline constexpr std::uint64_t s_in_ns = 1'000'000'000;

/// `value` rounded to a multiple of `step`, a power of two.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t step) noexcept {
  return (value + step - 1) & ~(step - 1);
}
[[nodiscard]] constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t step) noexcept {
  return value & ~(step - 1);
}

} // namespace lance
