// The always-on check of our own promises. A failed check is a bug of this program: it prints the
// place, the condition and the values, and ends the process, in release builds too.
#pragma once

#include <concepts>
#include <cstdint>

namespace lance {

struct check_value {
  template <std::integral T>
  constexpr check_value(T number) noexcept // NOLINT(google-explicit-constructor)
      : value(static_cast<std::int64_t>(number)) {}
  std::int64_t value;
};

/// Prints to stderr and aborts. Never returns.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, check_value a = 0,
                               check_value b = 0) noexcept;

} // namespace lance

/// LANCE_CHECK(condition [, value [, value]]): the values are printed when the condition is false.
#define LANCE_CHECK(condition, ...)                                                                \
  do {                                                                                             \
    if (!(condition)) [[unlikely]]                                                                 \
      ::lance::check_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__);            \
  } while (false)
