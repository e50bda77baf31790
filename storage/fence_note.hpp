// The file `fenced` in a log's directory: a write or flush of the log failed, and nothing was
// acknowledged since. While it is there the log opens for reading only, whatever the files look
// like, until an operator's command has it recovered from the device (log_policy::lift_fence) and
// the file taken away.
//
// The file keeps the operator in the loop; that no acknowledged batch is lost does not hang on it.
// Where not even it can be written, a start is what it is after a loss of power: recovery writes
// the tail that the index does not vouch for once more and syncs it before it counts.
//
// Blocks; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/types.hpp"
#include "storage/file.hpp"

namespace lance::storage {

struct fence_note {
  std::string reason;      ///< a word: "write_failed", "flush_failed", ...
  std::int32_t system = 0; ///< errno
  std::uint64_t time_ns = 0;
  /// Readers go up to here. 0 when the note itself is torn: then to the last batch that verifies,
  /// after what the index does not vouch for was written once more and synced.
  batch_number durable_next;
  byte_offset durable_end;

  friend bool operator==(const fence_note&, const fence_note&) = default;
};

[[nodiscard]] std::string to_json(const fence_note& note);
/// Errors: bad_format.
[[nodiscard]] result<fence_note> fence_note_from_json(std::string_view text);

/// Durable on return. Errors: io_failed.
result<> write_fence_note(disk& door, const std::string& directory, const fence_note& note);
/// None when the log is not fenced. A note that cannot be understood, or that was being written
/// when the process ended, fences all the same: reason "unreadable". Errors: io_failed.
[[nodiscard]] result<std::optional<fence_note>> find_fence_note(disk& door,
                                                                const std::string& directory);
/// Durable on return. Errors: io_failed.
result<> remove_fence_note(disk& door, const std::string& directory);

} // namespace lance::storage
