#include "client/cli/console.hpp"

#include <cerrno>

#include <unistd.h>

namespace lance::client::cli {

bool sink::flush() {
  std::string_view rest = buffer_;
  while (good_ && !rest.empty()) {
    const auto written = ::write(fd_, rest.data(), rest.size());
    if (written > 0)
      rest.remove_prefix(static_cast<std::size_t>(written));
    else if (errno != EINTR)
      good_ = false;
  }
  buffer_.clear();
  return good_;
}

bool console::input_is_terminal() const noexcept {
  return ::isatty(input) == 1;
}

} // namespace lance::client::cli
