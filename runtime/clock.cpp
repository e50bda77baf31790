#include "runtime/clock.hpp"

#include <ctime>

namespace lance::runtime {

namespace {

std::uint64_t read(clockid_t which) noexcept {
  timespec now{};
  ::clock_gettime(which, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace

std::uint64_t real_clock::wall_ns() const noexcept {
  return read(CLOCK_REALTIME);
}
std::uint64_t real_clock::steady_ns() const noexcept {
  return read(CLOCK_MONOTONIC);
}

} // namespace lance::runtime
