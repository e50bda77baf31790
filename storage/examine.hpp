// What one segment file holds, and whether it holds together: every header against the one before,
// every payload against its checksum, the index against both. Blocks; reads only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "storage/index.hpp"

namespace lance::storage {

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
  segment_id segment;
  std::uint64_t file_bytes = 0;
  std::uint64_t batch_bytes = 0; ///< of whole batches, from the file's begin
  std::vector<sealed_batch> batches;

  [[nodiscard]] std::string index_path() const;
  [[nodiscard]] std::uint64_t records() const noexcept;
  [[nodiscard]] batch_number end_number() const noexcept {
    return batch_number{segment.first.value + batches.size()};
  }
  /// The entries the index should have.
  [[nodiscard]] std::vector<index_entry> entries() const;
};

/// Loads the index of a path; null when there is none.
using index_loader = std::function<std::unique_ptr<mapping>(const std::string& index_path)>;

/// Errors: io_failed. A file that is no segment is `damaged`, not an error.
[[nodiscard]] result<examined_segment> examine(disk& door, const std::string& path);
/// The same with the file open. `path` gives the name, and with it the form: closed or active.
[[nodiscard]] result<examined_segment> examine(const std::string& path, file& data,
                                               const index_loader& load);
/// How the bytes of an index file stand to the batches: `ok` only when they are what the batches
/// say, byte for byte.
[[nodiscard]] index_state judge_index(byte_view file, const examined_segment& found);

} // namespace lance::storage
