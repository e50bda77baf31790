// Sizes, durations, times and places as people write them, to numbers and back. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/consumer.hpp"

namespace lance::client::cli {

/// `4096`, `64KiB`, `10GiB`, `1MB` (a million); units B, KB to TB, KiB to TiB, case as written
/// here. Bare letters (`64k`) mean different things to different people and are refused.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// `90s`, `250ms`, `7d`, `1h30m`; units us, ms, s, m, h, d, w. A bare number is seconds. In ns.
[[nodiscard]] std::optional<std::uint64_t> parse_duration_ns(std::string_view text);

/// RFC 3339 (`2025-01-31T12:00:00Z`, also with a fraction or an offset), seconds since the Unix
/// epoch (also with a fraction), or a duration before `now_ns` (`-5m`). In ns since the epoch.
[[nodiscard]] std::optional<std::uint64_t> parse_time_ns(std::string_view text,
                                                         std::uint64_t now_ns);

/// `earliest`, `latest`, `N` (a byte offset), `record:N`, `@TIME`.
[[nodiscard]] std::optional<start_position> parse_start(std::string_view text,
                                                        std::uint64_t now_ns);

/// `10 GiB`, `1.5 KiB`, `17 B`.
[[nodiscard]] std::string show_bytes(std::uint64_t bytes);
/// `7d`, `1h30m`, `45s`.
[[nodiscard]] std::string show_seconds(std::uint64_t seconds);
/// `850 ns`, `12.3 us`, `4.57 ms`, `1.20 s`.
[[nodiscard]] std::string show_latency(std::uint64_t ns);
/// `2025-01-31T12:00:00Z`.
[[nodiscard]] std::string show_time(std::uint64_t unix_seconds);

} // namespace lance::client::cli
