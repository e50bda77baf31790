// The moment until which a call may take its time. Every call of this library that waits has one.
// A value; any thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdint>
#include <limits>

#include "runtime/clock.hpp"

namespace lance::client {

class deadline {
 public:
  [[nodiscard]] static deadline after(std::chrono::nanoseconds span) noexcept {
    const auto start = now_ns();
    const auto length =
        static_cast<std::uint64_t>(std::max<std::chrono::nanoseconds::rep>(span.count(), 0));
    return deadline{length > forever - start ? forever : start + length};
  }
  [[nodiscard]] static constexpr deadline never() noexcept { return deadline{forever}; }
  [[nodiscard]] static constexpr deadline at_ns(std::uint64_t steady_ns) noexcept {
    return deadline{steady_ns};
  }
  [[nodiscard]] static deadline earlier(deadline a, deadline b) noexcept {
    return deadline{std::min(a.ns_, b.ns_)};
  }

  [[nodiscard]] bool passed() const noexcept { return ns_ != forever && now_ns() >= ns_; }

  /// Nanoseconds left, 0 when it has passed.
  [[nodiscard]] std::uint64_t left_ns() const noexcept {
    if (ns_ == forever)
      return forever;
    const auto now = now_ns();
    return now >= ns_ ? 0 : ns_ - now;
  }
  [[nodiscard]] std::chrono::nanoseconds left() const noexcept {
    constexpr std::uint64_t longest = std::numeric_limits<std::int64_t>::max();
    return std::chrono::nanoseconds{static_cast<std::int64_t>(std::min(left_ns(), longest))};
  }

  /// The steady clock deadlines are measured with.
  [[nodiscard]] static std::uint64_t now_ns() noexcept { return runtime::real_clock{}.steady_ns(); }

 private:
  static constexpr std::uint64_t forever = std::numeric_limits<std::uint64_t>::max();

  explicit constexpr deadline(std::uint64_t steady_ns) noexcept : ns_(steady_ns) {}

  std::uint64_t ns_;
};

} // namespace lance::client
