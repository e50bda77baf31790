// The .idx file as a whole: written, judged. Blocks; any thread.
#pragma once

#include <string>

#include "storage/file.hpp"
#include "storage/index.hpp"
#include "storage/segment.hpp"

namespace lance::storage {

/// The header that belongs to a segment whose first entry this is.
[[nodiscard]] index_header header_of(log_id log, segment_id segment,
                                     const index_entry& first) noexcept;

/// Makes the index file hold exactly these entries (at least one): `sound` leading entries and the
/// header are already there and kept. Without `sync` it is not synced: the index is derived.
result<> write_index(disk& door, const std::string& path, log_id log, segment_id segment,
                     const index_view& entries, std::size_t sound, bool sync = false);

/// Makes the index of a closed segment anew from its headers and puts it in the place of the old
/// one, which stays whole for who has it mapped. Errors: corrupt when the headers do not lead to
/// the segment's end (the old index is left), io_failed.
result<> replace_index(disk& door, const std::string& path, file& data, log_id log,
                       const segment_facts& facts);

/// The bytes of an index file; null when it is missing or unreadable, which means the same here.
[[nodiscard]] std::unique_ptr<mapping> load_index(disk& door, const std::string& path);

/// The entries of an index file that can be believed as far as the file itself shows: the header is
/// whole and names this segment, and the entries follow from one another. Empty view when none.
[[nodiscard]] byte_view believable_entries(byte_view file, log_id log, segment_id segment) noexcept;

} // namespace lance::storage
