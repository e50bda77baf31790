// Closed segments that are read again and again are worth the page cache; all else is read past it,
// so that one reader of old data does not push out what the machine needs. This decides, and bounds
// how much of the page cache that may take.
//
// reread_budget is shared by all logs of a process, any thread; reread_share and reread_habit are
// their segment's, on the poller's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace lance::storage {

class reread_budget {
 public:
  explicit reread_budget(std::uint64_t bytes) noexcept : bytes_(bytes) {}
  /// False, and nothing taken, when it would not fit.
  [[nodiscard]] bool take(std::uint64_t bytes) noexcept {
    auto used = used_.load(std::memory_order_relaxed);
    do
      if (bytes > bytes_ - used)
        return false;
    while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void give(std::uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t used() const noexcept {
    return used_.load(std::memory_order_relaxed);
  }

 private:
  const std::uint64_t bytes_;
  std::atomic<std::uint64_t> used_{0};
};

/// A segment's part of the budget, given back when it goes.
class reread_share {
 public:
  reread_share() = default;
  /// Of bytes that were taken.
  reread_share(reread_budget& of, std::uint64_t bytes) noexcept : of_(&of), bytes_(bytes) {}
  reread_share(reread_share&& other) noexcept
      : of_(std::exchange(other.of_, nullptr)), bytes_(other.bytes_) {}
  reread_share& operator=(reread_share&& other) noexcept {
    std::swap(of_, other.of_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~reread_share() {
    if (of_ != nullptr)
      of_->give(bytes_);
  }

 private:
  reread_budget* of_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// How often a segment is read. Time comes as an argument.
class reread_habit {
 public:
  /// A segment is hot when it has been read so often as a whole, in whatever pieces, ...
  static constexpr std::uint64_t passes = 2;
  /// ... with no pause as long as this, after which it is not any more.
  static constexpr std::uint64_t pause_ns = 30'000'000'000;

  void read(std::uint64_t bytes, std::uint64_t now_ns) noexcept {
    if (idle(now_ns))
      bytes_ = 0;
    bytes_ += bytes;
    last_ns_ = now_ns;
  }
  [[nodiscard]] bool hot(std::uint64_t segment_bytes) const noexcept {
    return !distrusted_ && bytes_ >= passes * segment_bytes;
  }
  [[nodiscard]] bool idle(std::uint64_t now_ns) const noexcept {
    return now_ns >= last_ns_ + pause_ns;
  }
  /// What the page cache gave did not verify: the device is read until the segment is let go.
  void distrust() noexcept { distrusted_ = true; }

 private:
  std::uint64_t bytes_ = 0;
  std::uint64_t last_ns_ = 0;
  bool distrusted_ = false;
};

} // namespace lance::storage
