// Makes of a damaged segment one that holds together again, without moving anything that is whole:
// every damaged batch becomes a lost one, which keeps its number, offsets, records and place in the
// file but has zeros for a payload and says so by a flag. Headers behind it are chained anew. The
// broker opens the result like any segment; readers get `corrupt` in the lost batches, as they did
// before the repair, and go on behind them.
//
// Where neither header nor index tell how far a damaged batch reached, all up to the segment's end
// is lost: filled up with lost batches when a segment follows, whose beginning says how far; else
// the log ends there.
//
// Blocks; for tools, with the data directory's lock held.
#pragma once

#include <string>
#include <vector>

#include "storage/damage.hpp"
#include "storage/file.hpp"
#include "storage/segment_judge.hpp"

namespace lance::storage {

enum class repair_need : std::uint8_t {
  none,       ///< all holds together
  index,      ///< only the index is missing or wrong
  data,       ///< batches are damaged
  impossible, ///< nothing in it is whole, or what is lost cannot be put back into numbers
};

struct repair_plan {
  std::string path;
  repair_need need = repair_need::none;
  log_id log;
  segment_id segment;
  bool closed = false;
  std::uint64_t file_bytes = 0;      ///< of the original, unwritten space included
  std::vector<judged_batch> batches; ///< of the repaired segment, in order; `whole` ones are copied
  std::vector<damaged_batch> lost;   ///< of them, the others
  /// The segment's end is unknown and nothing follows: the log ends at this batch and offset now.
  bool cut = false;
  batch_number end_number;
  byte_offset end_offset;
};

/// What is to be done; changes nothing. The name of the file must be a segment's. Errors:
/// io_failed; bad_format for another name.
[[nodiscard]] result<repair_plan> plan_repair(disk& door, const std::string& path);

/// Does it: the original is copied to `aside` (a directory, made when missing) under its name with
/// `.damaged`, then the repaired file takes its place in one step, then its index. Durable on
/// return, which is where the original is now; empty when only the index was written. A crash
/// leaves the one or the other, and a file `.repair` that means nothing. Errors: io_failed.
[[nodiscard]] result<std::string> repair(disk& door, const repair_plan& plan,
                                         const std::string& aside);

} // namespace lance::storage
