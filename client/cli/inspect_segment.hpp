// What one segment file holds, and whether it holds together: every header against the one before,
// every payload against its checksum, the index against both. Blocks; reads only.
#pragma once

#include <string>
#include <vector>

#include "client/failure.hpp"
#include "storage/file.hpp"
#include "storage/index.hpp"

namespace lance::client::cli {

enum class segment_state {
  ok,
  empty,   ///< no batch yet
  torn,    ///< a crash left half a batch at the end: the next start sets it aside
  damaged, ///< what was durable once does not verify
};
[[nodiscard]] std::string_view to_text(segment_state state) noexcept;

enum class index_state {
  ok,
  missing,
  behind, ///< right as far as it goes: the next start completes it
  wrong,
};
[[nodiscard]] std::string_view to_text(index_state state) noexcept;

struct examined_segment {
  std::string path;
  bool closed = false;
  segment_state state = segment_state::ok;
  index_state index = index_state::ok;
  std::string problem; ///< a sentence, unless the state is ok or empty
  log_id log;
  storage::segment_id segment;
  std::uint64_t file_bytes = 0;
  std::uint64_t batch_bytes = 0; ///< of whole batches, from the file's begin
  std::vector<storage::sealed_batch> batches;

  [[nodiscard]] std::string index_path() const;
  [[nodiscard]] std::uint64_t records() const noexcept;
  [[nodiscard]] batch_number end_number() const noexcept {
    return batch_number{segment.first.value + batches.size()};
  }
  /// The entries the index should have.
  [[nodiscard]] std::vector<storage::index_entry> entries() const;
};

/// Errors: io_failed with the path. A file that is no segment is `damaged`, not an error.
[[nodiscard]] outcome<examined_segment> examine(storage::disk& door, const std::string& path);

} // namespace lance::client::cli
