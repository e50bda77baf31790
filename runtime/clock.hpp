// Time by the door: nothing else asks the kernel what time it is. Cores take times as arguments;
// shells hold a clock.
#pragma once

#include <cstdint>

namespace lance::runtime {

class clock {
 public:
  virtual ~clock() = default;
  /// Nanoseconds since the Unix epoch; may jump. For stamps people read; safety never rests on it.
  [[nodiscard]] virtual std::uint64_t wall_ns() const noexcept = 0;
  /// Nanoseconds since some start; never goes back. For durations and deadlines.
  [[nodiscard]] virtual std::uint64_t steady_ns() const noexcept = 0;
};

/// The machine's clocks (CLOCK_REALTIME, CLOCK_MONOTONIC). Any thread.
class real_clock final : public clock {
 public:
  [[nodiscard]] std::uint64_t wall_ns() const noexcept override;
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override;
};

/// A clock that stands still until it is set. For tests and simulations; one thread.
class manual_clock final : public clock {
 public:
  [[nodiscard]] std::uint64_t wall_ns() const noexcept override { return wall_ns_; }
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return steady_ns_; }
  void set_wall_ns(std::uint64_t now) noexcept { wall_ns_ = now; }
  void advance_ns(std::uint64_t by) noexcept {
    wall_ns_ += by;
    steady_ns_ += by;
  }

 private:
  std::uint64_t wall_ns_ = 1'700'000'000'000'000'000;
  std::uint64_t steady_ns_ = 1;
};

} // namespace lance::runtime
