// Who is at the other end of a connection, as far as it has been shown.
#pragma once

#include <string>
#include <vector>

namespace lance::actors {

struct caller {
  /// `token:<name>`, `cert:<subjectAltName>`; empty for a stranger.
  std::vector<std::string> identities;

  [[nodiscard]] bool known() const noexcept { return !identities.empty(); }
  /// For the log.
  [[nodiscard]] std::string name() const {
    std::string text;
    for (const auto& each : identities)
      text += (text.empty() ? "" : " ") + each;
    return text.empty() ? "a stranger" : text;
  }
};

} // namespace lance::actors
