// Where the numbers of a log go on when none of its segments is left: a small file beside them,
// `log.start`, written before the last segment goes. While there are segments it says nothing.
//
// Layout in storage/README.md. Blocks; any thread, one at a time per log.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "storage/file.hpp"
#include "storage/sealed_run.hpp"

namespace lance::storage {

struct log_start {
  log_id log;
  batch_number next_number;
  byte_offset next_offset;
  record_number next_record;
  term last_term; ///< of the last batch that was here; so the next two
  wire::sort_key last_key;
  std::uint64_t last_time_ns = 0;

  friend bool operator==(const log_start&, const log_start&) = default;
};

inline constexpr std::size_t log_start_bytes = 80;
[[nodiscard]] std::array<std::byte, log_start_bytes> encode(const log_start& start) noexcept;
/// Errors: bad_format (length, magic, version or checksum).
[[nodiscard]] result<log_start> decode_log_start(byte_view bytes) noexcept;

/// Durable on return; after a crash either the old or the new one is there.
result<> write_log_start(disk& door, const std::string& directory, const log_start& start);
/// Nothing when there is no such file. Errors: io_failed; bad_format when it is damaged or another
/// log's.
[[nodiscard]] result<std::optional<log_start>>
read_log_start(disk& door, const std::string& directory, log_id log);

} // namespace lance::storage
