// The certificates that new connections get. Replaced as a whole while connections go on with what
// they began with.
#pragma once

#include <memory>
#include <mutex>

#include "runtime/tls.hpp"

namespace lance::actors {

/// Any thread. Asked once per connection.
class tls_source {
 public:
  explicit tls_source(std::shared_ptr<const runtime::tls_context> first)
      : current_(std::move(first)) {}

  [[nodiscard]] std::shared_ptr<const runtime::tls_context> current() const {
    const std::scoped_lock lock{guard_};
    return current_;
  }
  void replace(std::shared_ptr<const runtime::tls_context> next) {
    const std::scoped_lock lock{guard_};
    current_.swap(next); // the old one goes outside the lock
  }

 private:
  mutable std::mutex guard_;
  std::shared_ptr<const runtime::tls_context> current_;
};

} // namespace lance::actors
