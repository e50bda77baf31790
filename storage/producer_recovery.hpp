// What a log knows of its idempotent producers, back from its directory: the file `producers`,
// which holds for the log below some segment, and the headers of the stamped batches behind that.
// Which those are, the indexes know.
//
// Blocks; for recovery.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "storage/producer_table.hpp"
#include "storage/segment.hpp"

namespace lance::storage {

struct recovered_producers {
  producer_table table;
  std::vector<std::byte> owed; ///< what write_producers() is to write, once there is room for it
};

/// Of the log that has these segments and ends at `end`; whole, durable segments, the last with its
/// index in memory if it is active. Where closed ones had to be read, the file is written anew:
/// retention may drop them, and the next start need not read them. A file that does not hold for
/// this log goes: batches that it does not know would come to lie below its end. Errors: io_failed.
result<recovered_producers> recover_producers(disk& door, const std::string& directory, log_id log,
                                              std::span<const std::shared_ptr<segment>> segments,
                                              batch_number end);

/// An encode_producers(); the old file or the new one is there after a crash. Durable on return.
/// Errors: io_failed.
result<> write_producers(disk& door, const std::string& directory, byte_view encoded);

/// Batches are about to be cut off, from `end` on: the file goes if it knows of such. Durable on
/// return. Errors: io_failed.
result<> forget_producers_from(disk& door, const std::string& directory, log_id log,
                               batch_number end);

} // namespace lance::storage
