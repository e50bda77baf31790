// How long to wait before trying again: doubling from a first to a longest wait, less a random part
// so that clients that lost the same server do not come back together. Pure; replayable by seed.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace lance::client {

struct backoff_options {
  std::chrono::milliseconds first{100};
  /// A server that returns is found again within this time.
  std::chrono::milliseconds longest{5000};
  std::uint64_t seed = 0; ///< 0: taken from the machine
};

class backoff {
 public:
  explicit backoff(const backoff_options& options)
      : options_(options), next_(options.first),
        random_(options.seed != 0 ? options.seed : std::random_device{}()) {}

  /// Between half of the current step and all of it; the step then doubles.
  [[nodiscard]] std::chrono::nanoseconds next() {
    const auto whole = std::chrono::nanoseconds{next_}.count();
    next_ = std::min(next_ * 2, options_.longest);
    return std::chrono::nanoseconds{
        std::uniform_int_distribution<std::int64_t>{whole / 2, whole}(random_)};
  }

  /// It worked: the next wait is the first again.
  void reset() noexcept { next_ = options_.first; }

 private:
  backoff_options options_;
  std::chrono::milliseconds next_;
  std::mt19937_64 random_;
};

} // namespace lance::client
