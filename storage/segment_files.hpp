// The slow deeds around a segment's files: made ready ahead, taken into use, closed. They block;
// logs run them on a helper thread where there is one.
#pragma once

#include <memory>
#include <string>

#include "storage/file.hpp"
#include "storage/segment.hpp"

namespace lance::storage {

/// Makes next.spare anew: empty, `bytes` allocated, the first `zero_bytes` of them zero-written.
/// Errors: io_failed (ENOSPC: the spare is removed again, its space is free).
result<std::unique_ptr<file>> prepare_spare(disk& door, const std::string& directory,
                                            std::uint64_t bytes, std::uint64_t zero_bytes,
                                            bool direct);

/// Makes next.spare of a recycled file (its present name durable): `bytes` allocated, marked
/// (recycled.hpp), its old blocks left as they are. Errors: io_failed (the file is removed then).
result<std::unique_ptr<file>> prepare_recycled(disk& door, const std::string& directory,
                                               const std::string& name, log_id log,
                                               std::uint64_t bytes, bool direct);

/// Gives the spare the name of the segment; durable on return. May be tried again after a failure.
/// Returns the segment's empty index file, or null when that could not be made (it is derived).
result<std::unique_ptr<file>> activate_spare(disk& door, const std::string& directory,
                                             segment_id segment);

/// Ends an active segment: exact size, whole index, closed name. All durable on return. Returns the
/// index, mapped. May be tried again after a failure or a crash.
result<std::unique_ptr<mapping>> close_segment(disk& door, const std::string& directory, log_id log,
                                               const segment_facts& facts, file& data,
                                               const index_view& index, std::size_t sound_entries);

/// Zeros for writing ahead; aligned for O_DIRECT.
[[nodiscard]] byte_view zeros() noexcept;

} // namespace lance::storage
