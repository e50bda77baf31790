// Takes batches off the end of a log, or all of it: what a replica does when the leader's log has
// something else there, or begins behind it. On the files of a log that is not open and was
// recovered by its last opening (open_log.hpp); opening it again gives index and readers what is
// left.
//
// Both deeds may be done again after an error or a crash, and end the same. Durable on return.
// Block; any thread, one at a time per log.
#pragma once

#include <string>

#include "storage/file.hpp"
#include "storage/log_start.hpp"

namespace lance::storage {

struct cut_wish {
  log_id log;
  batch_number end;           ///< batches from here on go
  batch_number committed_end; ///< and none below this
  /// Of the batch before the log's start: what log.start says when no batch is left.
  term base_term;
};

struct cut_report {
  std::uint64_t segments_removed = 0;
  std::uint64_t bytes_cut = 0; ///< of batches, from the segment that holds the new end
  bool reopened = false;       ///< a closed segment is the active one again
};

/// Leaves the batches below `end`. The segment they end in is the active one then, also when it was
/// closed and nothing of it goes: where segments begin is the leader's to say. After a crash in
/// between, the log ends at a batch from `end` on. Errors, with nothing changed: invalid_request
/// (below committed_end or the log's start, or behind its end), log_fenced, corrupt (what stays
/// does not verify up to there); and io_failed.
result<cut_report> cut_log(disk& door, const std::string& directory, const cut_wish& wish);

/// Drops every batch; the log begins anew with `start`, which must lie behind all it has: a replica
/// that was away for longer than the leader keeps its log. After a crash in between, the log ends
/// where it did, so that nobody takes it for shorter than it was, or begins at `start`. Errors,
/// with nothing changed: invalid_request (a segment begins at `start` or behind it), log_fenced;
/// and io_failed. `producers`: what is known of them at `start` (encode_producers), or nothing.
result<> begin_log_at(disk& door, const std::string& directory, const log_start& start,
                      byte_view producers = {});

} // namespace lance::storage
