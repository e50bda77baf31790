// Something the kernel, or a helper thread, has under way for somebody.
#pragma once

#include <cstdint>

namespace lance::runtime {

/// Its owner keeps it alive until complete() was called (for multishot operations: until it was
/// called with `more` false). Starting it again from within complete() is fine.
class operation {
 public:
  /// On the thread that owns the ring or reactor. `result` is what the system call returned, a
  /// negative errno for a failure. `more`: further completions of the same submission will come.
  virtual void complete(std::int32_t result, bool more) = 0;

 protected:
  ~operation() = default;
};

} // namespace lance::runtime
