// Keeps one kind of event from flooding the log: a rotten disk has thousands of damaged batches,
// and a hundred lines say as much. What was held back is counted, and told with the next line.
//
// A value; one thread.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/types.hpp"

namespace lance::actors {

class event_limit {
 public:
  /// A page of lines in each window: enough to see a pattern, few enough to read.
  static constexpr std::uint32_t events_max = 50;
  static constexpr std::uint64_t window_ns = 60 * s_in_ns;

  struct permit {
    std::uint64_t held_back; ///< events that were not told since the last one that was
  };

  /// Nothing: this event is not told.
  [[nodiscard]] std::optional<permit> take(std::uint64_t now_ns) noexcept {
    if (events_ == 0 || now_ns >= begun_ns_ + window_ns) {
      begun_ns_ = now_ns;
      events_ = 0;
    }
    if (events_ == events_max) {
      ++held_back_;
      return std::nullopt;
    }
    ++events_;
    const permit told{held_back_};
    held_back_ = 0;
    return told;
  }

 private:
  std::uint64_t begun_ns_ = 0;
  std::uint32_t events_ = 0;
  std::uint64_t held_back_ = 0;
};

} // namespace lance::actors
