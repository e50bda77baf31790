// When the next piece of a closed segment may be read to look for bit rot: a pace in bytes per
// second, raised when it would not get through everything within the interval, and a new pass
// through all segments each interval.
//
// Pure: time and byte counts in, the next time out. Nothing is kept across starts: a node that
// starts begins a new pass.
#pragma once

#include <cstdint>

#include "runtime/types.hpp"

namespace lance::storage {

/// Read at once. A helper thread is busy with one for about a millisecond; what a producer's disk
/// work may have to wait for it.
inline constexpr std::uint64_t scrub_piece_bytes = 256 * KiB;
/// Pace for segments in which a reader has met something wrong: they do not wait for their turn,
/// nor for a configured pace that is slower.
inline constexpr std::uint64_t scrub_urgent_bytes_per_s = 8 * MiB;

class scrub_pace {
 public:
  scrub_pace(std::uint64_t bytes_per_s, std::uint64_t interval_ns, std::uint64_t now_ns) noexcept
      : bytes_per_s_(bytes_per_s), interval_ns_(interval_ns), due_ns_(now_ns), ended_ns_(now_ns) {}

  /// No pass is ever begun.
  [[nodiscard]] bool off() const noexcept { return bytes_per_s_ == 0 || interval_ns_ == 0; }
  [[nodiscard]] bool in_pass() const noexcept { return in_pass_; }
  /// When the next piece may be read or, between passes, the next pass begins. ~0 when off.
  [[nodiscard]] std::uint64_t due_ns() const noexcept;
  /// When a piece that is urgent may be read.
  [[nodiscard]] std::uint64_t urgent_due_ns() const noexcept { return due_ns_; }

  void begin_pass(std::uint64_t now_ns) noexcept;
  /// All that there is to read in this pass, as far as is known now.
  void expect(std::uint64_t total_bytes) noexcept { total_bytes_ = total_bytes; }
  /// A piece was read. Lost time is made up for, but for no more than a second.
  void advance(std::uint64_t bytes, bool urgent, std::uint64_t now_ns) noexcept;
  void end_pass(std::uint64_t now_ns) noexcept;
  /// There are segments that no pass has seen: the next one does not wait for its interval.
  void hasten() noexcept { begun_ = false; }

  /// Bytes per second, as it is now.
  [[nodiscard]] std::uint64_t pace() const noexcept;
  /// Since the last pass ended; since the beginning, when none has.
  [[nodiscard]] std::uint64_t age_ns(std::uint64_t now_ns) const noexcept {
    return now_ns - (now_ns < ended_ns_ ? now_ns : ended_ns_);
  }
  [[nodiscard]] std::uint64_t began_ns() const noexcept { return began_ns_; }

 private:
  std::uint64_t bytes_per_s_;
  std::uint64_t interval_ns_;
  std::uint64_t due_ns_;
  std::uint64_t ended_ns_;
  std::uint64_t began_ns_ = 0;
  std::uint64_t total_bytes_ = 0;
  bool in_pass_ = false;
  bool begun_ = false;
};

} // namespace lance::storage
