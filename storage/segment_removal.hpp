// Closed segments on their way out: taken from the front of a log by log::take_before(), their
// files removed by run(), and what could not be removed given back with log::put_back().
//
// A file may be kept to become the log's next segment (recycled.hpp): then it is renamed instead of
// removed.
//
// Order on disk: oldest first, each segment before its index; before the last the numbers, when no
// segment stays to carry them through a crash; then the directory. A crash at any step leaves a log
// that begins later or not yet, never one with a hole or with numbers that start again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "storage/log_start.hpp"
#include "storage/segment.hpp"
#include "storage/spare_shelf.hpp"

namespace lance::storage {

enum class segment_fate : std::uint8_t {
  remove,
  keep, ///< the shelf has a place for its file; removed nevertheless when it has a second name
  kept, ///< the file has its new name, and that is durable once run() succeeded
};

struct segment_removal {
  std::string directory;
  std::vector<std::shared_ptr<segment>> segments; ///< ascending
  std::vector<segment_fate> fates;                ///< one for each
  std::optional<log_start> numbers;               ///< when nothing stays that outlives a crash
  std::size_t removed = 0;                        ///< leading segments whose files are gone
  std::uint64_t removed_bytes = 0;

  [[nodiscard]] bool empty() const noexcept { return segments.empty(); }
  /// Gives the shelf what it reserved places for. Call once, after run(), on the log's thread.
  void settle(spare_shelf& shelf);
  /// Blocks; any thread, with nothing but the disk. Durable on success. Reads under way in the
  /// segments end well: their files stay open. Errors: io_failed; `removed` says how far it came.
  result<> run(disk& door);

 private:
  result<> let_go(disk& door, std::size_t at);

  bool durable_ = false;
};

} // namespace lance::storage
