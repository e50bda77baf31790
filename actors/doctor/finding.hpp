// What one check has to say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lance::actors::doctor {

enum class status : std::uint8_t {
  ok,
  skip, ///< does not apply here, or could not be learnt
  warn, ///< the node runs, and less well or less safely than it could
  fail, ///< the node would not start, or would not take records
};
[[nodiscard]] constexpr std::string_view name_of(status value) noexcept {
  switch (value) {
  case status::ok:
    return "ok";
  case status::skip:
    return "skip";
  case status::warn:
    return "warn";
  case status::fail:
    break;
  }
  return "fail";
}

struct finding {
  std::string name;
  status is = status::ok;
  std::string what; ///< a sentence: how it is
  std::string why;  ///< a sentence: why it matters
  std::string fix;  ///< a command or a line of the configuration; empty unless warn or fail
};

} // namespace lance::actors::doctor
