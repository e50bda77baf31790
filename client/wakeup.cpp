#include "client/wakeup.hpp"

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/check.hpp"
#include "runtime/types.hpp"

namespace lance::client {

wakeup::wakeup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  LANCE_CHECK(fd_ >= 0, errno);
}

wakeup::~wakeup() {
  ::close(fd_);
}

void wakeup::wake() noexcept {
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then somebody has been woken.
  static_cast<void>(!::write(fd_, &one, sizeof one));
}

void wakeup::clear() noexcept {
  std::uint64_t count = 0;
  static_cast<void>(!::read(fd_, &count, sizeof count));
}

void wakeup::wait(deadline until) noexcept {
  constexpr std::uint64_t longest = 3600 * s_in_ns;
  const auto ns = std::min(until.left_ns(), longest);
  const timespec span{static_cast<time_t>(ns / s_in_ns), static_cast<long>(ns % s_in_ns)};
  pollfd watched{fd_, POLLIN, 0};
  static_cast<void>(::ppoll(&watched, 1, &span, nullptr));
}

} // namespace lance::client
