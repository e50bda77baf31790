// What is known to be rotten in one log: batches whose bytes did not verify when they were read,
// and segments that somebody should look through because of it. Once a look through the segment has
// confirmed a batch, reads of it are refused at once, whatever its size; until then each read tries
// anew, and one that verifies takes it off again, as a bad cable or a rotten index is not the
// batch's fault.
//
// Part of a log, on the poller's thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "runtime/types.hpp"

namespace lance::storage {

/// Batches remembered per log. A disk with more of them is beyond a list; further ones are verified
/// again with each read, and counted.
inline constexpr std::size_t damaged_batches_max = 4096;

/// What the index says of a damaged batch. The next one begins at `end`.
struct damaged_batch {
  batch_number number;
  byte_offset offset;
  byte_offset end;

  friend bool operator==(const damaged_batch&, const damaged_batch&) = default;
};

class damage_list {
 public:
  /// True if it was not known (and is told by take_unreported() once).
  bool note(const damaged_batch& which);
  /// A segment, by its first batch, of which something did not hold.
  void doubt(batch_number segment) { doubted_.insert(segment.value); }
  [[nodiscard]] const damaged_batch* find(batch_number number) const noexcept;
  /// A look through its segment has found it, too.
  [[nodiscard]] bool confirmed(batch_number number) const noexcept;
  /// A read of it did verify.
  void heal(batch_number number);
  /// Batches in [first, end) were looked at: exactly these are damaged.
  void settle(batch_number first, batch_number end, std::span<const damaged_batch> damaged);
  /// Batches in [first, end) are gone.
  void clear(batch_number first, batch_number end);
  /// Batches known to be damaged.
  [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }

  /// What was noted and not told yet.
  [[nodiscard]] bool has_news() const noexcept {
    return unreported_ > 0 || healed_ || !doubted_.empty();
  }
  [[nodiscard]] std::optional<damaged_batch> take_unreported();
  [[nodiscard]] std::optional<batch_number> take_doubted();

 private:
  struct entry {
    damaged_batch what;
    bool reported = false;
    bool confirmed = false;
  };
  std::map<std::uint64_t, entry> known_; // by number
  std::set<std::uint64_t> doubted_;
  std::size_t unreported_ = 0;
  bool healed_ = false; // since take_unreported() had nothing more
};

} // namespace lance::storage
