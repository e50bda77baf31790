// The 128-bit order of batches: timestamp_ns 64 | node 16 | actor 8 | sequence 40. It is a value of
// two words compared as numbers; stored, it is two little-endian words, high first, so that its
// bytes are read like every other number of our formats (memcmp of them is *not* the order).
#pragma once

#include <compare>
#include <cstdint>

#include "runtime/bytes.hpp"
#include "runtime/types.hpp"

namespace lance::wire {

struct sort_key {
  std::uint64_t high = 0; ///< timestamp_ns
  std::uint64_t low = 0;  ///< node << 48 | actor << 40 | sequence

  static constexpr unsigned sequence_bits = 40;
  static constexpr std::uint64_t sequence_max = (std::uint64_t{1} << sequence_bits) - 1;

  [[nodiscard]] static constexpr sort_key make(std::uint64_t timestamp_ns, node_id node,
                                               std::uint8_t actor,
                                               std::uint64_t sequence) noexcept {
    return {timestamp_ns, std::uint64_t{node.value} << 48 | std::uint64_t{actor} << 40 |
                              (sequence & sequence_max)};
  }

  [[nodiscard]] constexpr std::uint64_t timestamp_ns() const noexcept { return high; }
  [[nodiscard]] constexpr node_id node() const noexcept {
    return node_id{static_cast<std::uint16_t>(low >> 48)};
  }
  [[nodiscard]] constexpr std::uint8_t actor() const noexcept {
    return static_cast<std::uint8_t>(low >> 40);
  }
  [[nodiscard]] constexpr std::uint64_t sequence() const noexcept { return low & sequence_max; }

  friend constexpr auto operator<=>(const sort_key&, const sort_key&) noexcept = default;
};

inline constexpr std::size_t sort_key_bytes = 16;

inline void encode(const sort_key& key, std::byte* to) noexcept {
  store_le(to, key.high);
  store_le(to + 8, key.low);
}

[[nodiscard]] inline sort_key decode_sort_key(const std::byte* from) noexcept {
  return {load_le<std::uint64_t>(from), load_le<std::uint64_t>(from + 8)};
}

/// Makes the keys of one log, each greater than the one before, whatever the clock does. Owned by
/// whoever appends to the log; a new owner begins with the log's last key.
class sort_key_source {
 public:
  /// `last` is the greatest key the log has: another node's, perhaps, and perhaps ahead of our
  /// clock.
  sort_key_source(node_id node, std::uint8_t actor, sort_key last = {}) noexcept
      : node_(node), actor_(actor), last_(last) {}

  /// The key of a batch appended at `now_ns`. Time never goes back; within one timestamp the
  /// sequence counts, and when its 40 bits are used up the timestamp moves on by 1 ns. (The last
  /// nanosecond a u64 can count is in the year 2554.)
  [[nodiscard]] sort_key next(std::uint64_t now_ns) noexcept {
    last_ = after(now_ns);
    return last_;
  }

  [[nodiscard]] sort_key last() const noexcept { return last_; }

 private:
  [[nodiscard]] sort_key after(std::uint64_t now_ns) const noexcept {
    if (now_ns > last_.timestamp_ns())
      return sort_key::make(now_ns, node_, actor_, 0);
    const auto counted = sort_key::make(last_.timestamp_ns(), node_, actor_, last_.sequence() + 1);
    // Not greater when the sequence wrapped, or when the last key is of a greater node or actor.
    return counted > last_ ? counted : sort_key::make(last_.timestamp_ns() + 1, node_, actor_, 0);
  }

  node_id node_;
  std::uint8_t actor_;
  sort_key last_;
};

} // namespace lance::wire
