#include "storage/scrub.hpp"

#include <algorithm>

namespace lance::storage {

std::uint64_t scrub_pace::due_ns() const noexcept {
  if (off())
    return ~std::uint64_t{0};
  if (in_pass_ || !begun_)
    return due_ns_;
  return std::max(due_ns_, began_ns_ + interval_ns_);
}

void scrub_pace::begin_pass(std::uint64_t now_ns) noexcept {
  in_pass_ = true;
  begun_ = true;
  began_ns_ = now_ns;
}

std::uint64_t scrub_pace::pace() const noexcept {
  if (off())
    return scrub_urgent_bytes_per_s;
  // Half as fast again as just enough: segments that come during the pass want their share.
  const auto seconds = std::max<std::uint64_t>(interval_ns_ / s_in_ns, 1);
  return std::max(bytes_per_s_, total_bytes_ / seconds * 3 / 2);
}

void scrub_pace::advance(std::uint64_t bytes, bool urgent, std::uint64_t now_ns) noexcept {
  const auto rate = urgent ? std::max(pace(), scrub_urgent_bytes_per_s) : pace();
  const auto cost = static_cast<std::uint64_t>(
      static_cast<double>(bytes) * static_cast<double>(s_in_ns) / static_cast<double>(rate));
  due_ns_ = std::max(due_ns_, now_ns - std::min(now_ns, s_in_ns)) + cost;
}

void scrub_pace::end_pass(std::uint64_t now_ns) noexcept {
  in_pass_ = false;
  ended_ns_ = now_ns;
}

} // namespace lance::storage
