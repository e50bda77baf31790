// Sizes and durations as people write them: "128MiB", "7d".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lance::config {

/// "4096", "256KiB", "10GB": bytes. Nothing for anything else, or for what 63 bits cannot hold.
[[nodiscard]] std::optional<std::int64_t> parse_size(std::string_view text) noexcept;

/// "30", "250ms", "7d" in units of `unit` ("us", "ms" or "s"); a bare number is in that unit.
/// Nothing when it does not come out whole.
[[nodiscard]] std::optional<std::int64_t> parse_duration(std::string_view text,
                                                         std::string_view unit) noexcept;

/// With the largest unit that divides it: "128MiB", "1000B".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

} // namespace lance::config
