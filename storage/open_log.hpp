// A log's directory, from whatever the last process left there to something that can be read and
// appended to. Blocks; the only place that decides about torn tails, half-closed segments, missing
// indexes and damage.
#pragma once

#include <memory>
#include <vector>

#include "storage/log.hpp"

namespace lance::storage {

struct opened_log {
  /// Readable segments in order; the last is the active one if has_active.
  std::vector<std::shared_ptr<segment>> segments;
  bool has_active = false;
  std::uint64_t allocated = 0;      ///< size of the active file
  std::unique_ptr<file> index_file; ///< of the active segment, all entries written; null: not known
  append_start start;               ///< without the grant
  /// There was no room for this content of the file `producers` (producer_recovery.hpp).
  std::vector<std::byte> producers_owed;
  bool damaged = false;
  recovery_report report;
};

/// The first batch of every log. 0 is free to mean "nothing before".
inline constexpr batch_number first_batch_number{1};

/// On return everything that is called readable is durable, and a fence that policy.lift_fence asks
/// to lift is gone. Errors: io_failed; bad_format when two files claim the same place. Nothing that
/// holds a byte of data is deleted: what is no part of the log goes to the quarantine, and when
/// that is full everything stays in its place and the log is fenced. Indexes are derived: one
/// without a segment goes.
result<opened_log> open_log_directory(const log_environment& environment, const log_policy& policy);

} // namespace lance::storage
