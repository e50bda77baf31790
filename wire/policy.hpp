// A topic's policy in the words of the wire and of the configuration: when an acknowledgement
// leaves, and what it promises about the disk.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "runtime/types.hpp"

namespace lance::wire {

using lance::ack_mode;
using lance::durability;

[[nodiscard]] constexpr std::string_view to_text(ack_mode mode) noexcept {
  return mode == ack_mode::l1 ? "L1" : "L2";
}

[[nodiscard]] constexpr std::string_view to_text(durability level) noexcept {
  switch (level) {
  case durability::fsync:
    return "fsync";
  case durability::written:
    return "written";
  case durability::memory:
    break;
  }
  return "memory";
}

/// L1 and L2 in either case. L3, the older name of the majority mode, is read as L2; whoever reads
/// configuration says so in a notice.
[[nodiscard]] constexpr std::optional<ack_mode> parse_ack_mode(std::string_view text) noexcept {
  if (text == "L1" || text == "l1")
    return ack_mode::l1;
  if (text == "L2" || text == "l2" || text == "L3" || text == "l3")
    return ack_mode::l2;
  return std::nullopt;
}

[[nodiscard]] constexpr std::optional<durability> parse_durability(std::string_view text) noexcept {
  for (const auto level : {durability::fsync, durability::written, durability::memory})
    if (text == to_text(level))
      return level;
  return std::nullopt;
}

} // namespace lance::wire
