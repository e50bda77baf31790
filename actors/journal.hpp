// The node's own log, `__meta`: what happened to topics and consumers, as entries of
// cluster/entry.hpp, one per batch. Read back at start, before any actor runs.
#pragma once

#include <string>

#include "cluster/consumer_offsets.hpp"
#include "cluster/metadata.hpp"
#include "runtime/clock.hpp"
#include "runtime/result.hpp"
#include "storage/data_dir.hpp"
#include "storage/options.hpp"

namespace lance::actors {

/// Above every topic's id (cluster::topic_id_max).
inline constexpr log_id meta_log{0xffff'ffff};
inline constexpr const char* meta_name = "__meta";

/// It allocates in smaller steps than other logs, because its entries are at most 1 MiB and it has
/// to go on where the disk is all but full.
inline constexpr std::uint64_t journal_allocate_bytes = 4 * MiB;

/// What the journal tells.
struct journal_contents {
  cluster::metadata topics;
  cluster::consumer_offsets offsets;
  std::uint64_t entries = 0;
  std::uint64_t refused = 0; ///< entries that no longer fit: repeated by an interrupted snapshot
};

/// One entry onto the tables. Errors: bad_format, unsupported: the journal is from a newer build.
result<> apply_entry(journal_contents& to, byte_view entry);

/// Recovers the log and reads it from its start. Blocks; main thread; nothing else has the log
/// open.
result<journal_contents> read_journal(storage::disk& door, storage::data_dir& home,
                                      const runtime::clock& time, const storage::options& chosen,
                                      const cluster::topic_policy& defaults,
                                      std::string& explanation);

} // namespace lance::actors
