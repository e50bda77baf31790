// Closed segments on their way out: taken from the front of a log by log::take_before(), their
// files removed by run(), and what could not be removed given back with log::put_back().
//
// Order on disk: oldest first, each segment before its index; before the last the numbers, when no
// segment stays to carry them; then the directory. A crash at any step leaves a log that begins
// later or not yet, never one with a hole or with numbers that start again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "storage/log_start.hpp"
#include "storage/segment.hpp"

namespace lance::storage {

struct segment_removal {
  std::string directory;
  std::vector<std::shared_ptr<segment>> segments; ///< ascending
  std::optional<log_start> numbers;               ///< when nothing stays
  std::size_t removed = 0;                        ///< leading segments whose files are gone
  std::uint64_t removed_bytes = 0;

  [[nodiscard]] bool empty() const noexcept { return segments.empty(); }
  /// Blocks; any thread, with nothing but the disk. Durable on success. Reads under way in the
  /// segments end well: their files stay open. Errors: io_failed; `removed` says how far it came.
  result<> run(disk& door);
};

} // namespace lance::storage
