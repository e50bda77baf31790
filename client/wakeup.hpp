// Ends another thread's wait: a counter of the kernel's (eventfd) that can be waited for beside a
// connection. Any thread may wake; one waits.
#pragma once

#include "client/deadline.hpp"

namespace lance::client {

class wakeup {
 public:
  /// Ends the process when the kernel has no descriptor left: there is no working without it.
  wakeup();
  ~wakeup();
  wakeup(const wakeup&) = delete;
  wakeup& operator=(const wakeup&) = delete;

  void wake() noexcept;
  /// Forgets wakes so far.
  void clear() noexcept;
  /// Until somebody wakes or the deadline passes, whichever is first; may end early. Blocks.
  void wait(deadline until) noexcept;
  [[nodiscard]] int descriptor() const noexcept { return fd_; }

 private:
  int fd_;
};

} // namespace lance::client
