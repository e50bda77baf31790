// Facts that only trying gives: a flush of the disk, a clock that is read, a port that is bound.
// Nothing is left behind: the file that is written has no name, sockets are closed. Each is bounded
// in time, and writes at most a few MiB.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/doctor/facts.hpp"

namespace lance::actors::doctor {

// Bounds, each for its reason.
inline constexpr std::uint64_t flushes_max = 200;          ///< a median that holds
inline constexpr std::uint64_t flush_limit_ms = 2000;      ///< slow disks show themselves at once
inline constexpr std::uint64_t flush_file_bytes = 1 << 20; ///< written first, then again and again
inline constexpr int clock_readings = 10'000;

[[nodiscard]] disk_facts probe_disk(const std::string& data_dir);
[[nodiscard]] clock_facts probe_clock();
/// Binds each address and lets it go again.
[[nodiscard]] std::vector<listener_facts> probe_listeners(const config::config& values);
/// The name of the interface that has the address of `bind`; empty for loopback, for all
/// addresses, and when none has it.
[[nodiscard]] std::string interface_with(const std::string& bind);

} // namespace lance::actors::doctor
