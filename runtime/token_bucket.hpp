// A rate that is kept on average: what is taken comes back with time, up to a second's worth. Who
// takes more than there is goes into debt and waits until it is paid back, so that one large frame
// passes and the next one waits for it.
//
// A value; time is an argument and may stand still; one thread at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "runtime/types.hpp"

namespace lance::runtime {

class token_bucket {
 public:
  /// Full. `rate`: what comes back in a second; 0: nothing is ever missing.
  explicit token_bucket(std::uint64_t rate = 0, std::uint64_t now_ns = 0) noexcept
      : rate_(static_cast<double>(rate)), level_(rate_), seen_ns_(now_ns) {}

  /// From now on; a debt stays, what is beyond the new second's worth goes.
  void set_rate(std::uint64_t rate, std::uint64_t now_ns) noexcept {
    refill(now_ns);
    rate_ = static_cast<double>(rate);
    level_ = std::min(level_, rate_);
  }

  /// How long until there is no debt; 0: something may be taken. At most a day, whatever is owed.
  [[nodiscard]] std::uint64_t wait_ns(std::uint64_t now_ns) noexcept {
    refill(now_ns);
    if (rate_ <= 0 || level_ > 0)
      return 0;
    constexpr double longest = 86'400e9;
    const auto wait = std::min((1 - level_) / rate_ * 1e9, longest);
    return static_cast<std::uint64_t>(std::ceil(wait));
  }

  void take(std::uint64_t amount, std::uint64_t now_ns) noexcept {
    if (rate_ <= 0)
      return;
    refill(now_ns);
    level_ -= static_cast<double>(amount);
  }

  /// As if nothing had been taken for long: it may be forgotten.
  [[nodiscard]] bool full(std::uint64_t now_ns) const noexcept {
    auto later = *this;
    later.refill(now_ns);
    return later.level_ >= rate_;
  }

 private:
  void refill(std::uint64_t now_ns) noexcept {
    if (now_ns <= seen_ns_)
      return;
    const auto passed = static_cast<double>(now_ns - seen_ns_) / static_cast<double>(s_in_ns);
    level_ = std::min(rate_, level_ + passed * rate_);
    seen_ns_ = now_ns;
  }

  double rate_;
  double level_;
  std::uint64_t seen_ns_;
};

} // namespace lance::runtime
