// How full the disk is, and what that forbids: a pure state machine from samples of a data
// directory's file system. Says when producers are to be refused, when the ballast is to be let go
// or made again, and when all of that did not help.
//
//   ok --used >= warn--> warn --used >= stop_writes--> stop_writes
//   and back only when the share has fallen `margin` below its mark, so that a disk that hovers
//   there does not flap.
//
// Used means used by anybody, and counts the ballast whether or not it is there: letting it go must
// not look like room for producers.
#pragma once

#include <cstdint>
#include <string_view>

#include "storage/file.hpp"
#include "storage/options.hpp"

namespace lance::storage {

enum class disk_level : std::uint8_t {
  ok,
  warn,        ///< said, and retention runs
  stop_writes, ///< producers are refused; reads, deletions and what was accepted go on
};
[[nodiscard]] std::string_view name_of(disk_level level) noexcept;

struct watermark_limits {
  double warn = 0.85;        ///< used shares
  double stop_writes = 0.95; ///< above warn
  std::uint64_t ballast_bytes = 64 * MiB;
  /// What an append may need at once. With less than that left, a log that met a full disk will
  /// meet it again.
  std::uint64_t room_bytes = 40 * MiB;
};

enum class ballast_deed : std::uint8_t { none, release, make };

struct watermark_verdict {
  disk_level level = disk_level::ok;
  bool changed = false; ///< since the sample before
  ballast_deed ballast = ballast_deed::none;
  /// The journal has been blocked for too long with nothing left to let go.
  bool give_up = false;
};

class watermark {
 public:
  /// Of the disk's size: more than the broker's own files breathe, less than an operator frees.
  static constexpr double margin = 0.01;
  /// Free bytes below which the ballast goes at the latest: what indexes, identity and the journal
  /// may want while nobody produces.
  static constexpr std::uint64_t least_free_bytes = 16 * MiB;
  /// Ten samples in which retention, deletions or an operator could have made room.
  static constexpr std::uint64_t patience_ns = 10 * s_in_ns;

  explicit watermark(const watermark_limits& limits) : limits_(limits) {}

  /// A log met a full disk; `accepted`: with something it has accepted already.
  void disk_was_full(bool accepted) noexcept;
  /// The journal could not be written for want of space, or can be again.
  void journal_blocked(bool blocked) noexcept { journal_blocked_ = blocked; }
  /// How it is now. `ballast_held`: the whole of it is there.
  [[nodiscard]] watermark_verdict sample(const disk_space& now, bool ballast_held,
                                         std::uint64_t now_ns) noexcept;

  [[nodiscard]] disk_level level() const noexcept { return level_; }
  /// Of the last sample.
  [[nodiscard]] double used_share() const noexcept { return used_share_; }

 private:
  [[nodiscard]] disk_level judge(double used) const noexcept;
  [[nodiscard]] std::uint64_t bytes_to_release_at(std::uint64_t total) const noexcept;

  watermark_limits limits_;
  disk_level level_ = disk_level::ok;
  double used_share_ = 0;
  bool met_full_ = false;      // since the last sample
  bool short_of_room_ = false; // met a full disk, and there is not more room than then
  bool accepted_waits_ = false;
  bool journal_blocked_ = false;
  std::uint64_t blocked_since_ns_ = 0; // without ballast; 0: not so
};

} // namespace lance::storage
