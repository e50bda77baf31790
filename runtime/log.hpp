// One structured line per event, to stderr; none per record. The only file pair that knows spdlog.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace lance::runtime {

enum class log_level : std::uint8_t { debug, info, warning, error, off };
enum class log_format : std::uint8_t { text, json };

/// The name of an event or of a field: snake_case, written in the source, looked at by the
/// compiler.
struct log_name {
  template <std::size_t N>
  consteval log_name(const char (&name)[N]) : text(name, N - 1) { // NOLINT: meant to be implicit
    if (N < 2)
      throw "a log name is not empty";
    for (const char c : text)
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
        throw "a log name is snake_case";
    if (text == "time" || text == "level" || text == "event")
      throw "time, level and event are the line's own";
  }
  std::string_view text;
};

/// What a field says. Text is only looked at during the call.
struct log_value {
  log_value(bool truth) : value(truth) {}           // NOLINT: meant to be implicit
  log_value(std::string_view text) : value(text) {} // NOLINT
  log_value(const std::string& text) : value(std::string_view{text}) {} // NOLINT
  log_value(const char* text) : value(std::string_view{text}) {}        // NOLINT
  template <std::signed_integral T>
  log_value(T number) : value(static_cast<std::int64_t>(number)) {} // NOLINT
  template <std::unsigned_integral T>
  log_value(T number) : value(static_cast<std::uint64_t>(number)) {} // NOLINT

  std::variant<bool, std::int64_t, std::uint64_t, std::string_view> value;
};

struct log_field {
  log_name name;
  log_value value;
};

/// Until it is called: info and above, as text. Any thread; lines under way end in the old form.
void configure_log(log_level level, log_format format);

/// Writes one line: log(log_level::info, "listening", {{"address", text}, {"port", 1992}}).
/// Any thread, lines never mix. Blocks as long as stderr does: not for the record path.
void log(log_level level, log_name event, std::initializer_list<log_field> fields = {});

/// The line without its time, as log() writes it. Bytes that are not UTF-8 come out escaped (text)
/// or as U+FFFD (JSON), control characters escaped: an event is always exactly one line.
[[nodiscard]] std::string log_line(log_format format, log_level level, log_name event,
                                   std::initializer_list<log_field> fields);

[[nodiscard]] std::string_view name_of(log_level level) noexcept;

} // namespace lance::runtime
