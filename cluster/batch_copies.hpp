// The batches that travel beside an append: their images one behind the other, headers included,
// as they stand in the leader's segments. Everything is verified before a core hears of the append:
// a core takes for granted that what it was told is there.
//
// Pure; any thread.
#pragma once

#include <vector>

#include "cluster/raft_message.hpp"
#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::cluster {

struct batch_copy {
  batch_number number;
  byte_view header; ///< storage::batch_header_bytes
  byte_view payload;
};

/// Batches [sent.from, sent.end), in order; views into `beside`. Errors: bad_format (sizes, log,
/// numbers, a term or a membership that is not the one `sent` gives it, a payload that does not
/// match its checksum, bytes left over), unsupported (a control batch of a newer build).
[[nodiscard]] result<std::vector<batch_copy>> take_copies(log_id log, const append& sent,
                                                          byte_view beside);

} // namespace lance::cluster
