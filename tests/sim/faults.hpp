// The kinds of harm a simulated world does, and how often each was really done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lance::sim {

enum class fault : std::uint8_t {
  power_cut,           ///< the machine loses power
  process_killed,      ///< the process dies, what the kernel knows stays
  died_in_start,       ///< one of these two while the logs were being opened
  sectors_lost,        ///< unsynced sectors were gone after a cut
  sectors_reordered,   ///< of them a later one was there and an earlier one was not
  older_version_kept,  ///< a sector held neither its synced nor its newest bytes
  write_torn,          ///< a write under way was there in part
  size_lost,           ///< an unsynced size was gone
  names_lost,          ///< unsynced changes of a directory were gone
  write_failed,        ///< EIO or ENOSPC
  read_failed,         ///< EIO
  flush_failed,        ///< EIO or ENOSPC; some of the data is lost although later flushes succeed
  cold_deed_failed,    ///< open, rename, truncate, allocate, directory sync, ...
  disk_full,           ///< a write or an allocation met the capacity
  slow_operation,      ///< 20 ms to 2 s
  bit_flipped_on_read, ///< once, on the way
  bit_rotted,          ///< on the device, of a closed segment
  clock_jumped,        ///< the wall clock, up to an hour, either way
  connection_lost,     ///< with what was under way on it
  fence_lifted,        ///< no fault, but what an operator does after one
  batch_repeated,      ///< an idempotent producer sent what was here already
  count
};

inline constexpr std::size_t fault_kinds = static_cast<std::size_t>(fault::count);

inline constexpr std::array<std::string_view, fault_kinds> fault_names{
    "power_cut",         "process_killed",     "died_in_start",   "sectors_lost",
    "sectors_reordered", "older_version_kept", "write_torn",      "size_lost",
    "names_lost",        "write_failed",       "read_failed",     "flush_failed",
    "cold_deed_failed",  "disk_full",          "slow_operation",  "bit_flipped_on_read",
    "bit_rotted",        "clock_jumped",       "connection_lost", "fence_lifted",
    "batch_repeated"};

static_assert(!fault_names.back().empty(), "every fault has a name");

class fault_counts {
 public:
  void note(fault kind) noexcept { ++counts_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] std::uint64_t of(fault kind) const noexcept {
    return counts_[static_cast<std::size_t>(kind)];
  }
  void add(const fault_counts& other) noexcept {
    for (std::size_t i = 0; i < fault_kinds; ++i)
      counts_[i] += other.counts_[i];
  }

 private:
  std::array<std::uint64_t, fault_kinds> counts_{};
};

} // namespace lance::sim
