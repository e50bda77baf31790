#include "runtime/log.hpp"

#include <atomic>
#include <memory>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace lance::runtime {

namespace {

constexpr const char* hex = "0123456789abcdef";

// Length of the well-formed UTF-8 character at the start of `text`; 0 where there is none.
std::size_t character_length(std::string_view text) noexcept {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = at(0);
  if (first < 0x80)
    return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length)
    return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0) != 0x80)
      return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  const unsigned second = at(1);
  const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                   (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return bad ? 0 : length;
}

void append_hex(std::string& out, const char* prefix, unsigned char byte) {
  out += prefix;
  out += hex[byte >> 4];
  out += hex[byte & 15];
}

// What stands between the quotes. Both formats share the short escapes of JSON.
void append_escaped(std::string& out, std::string_view text, log_format format) {
  while (!text.empty()) {
    const auto length = character_length(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (length == 0 && format == log_format::json)
      out += "\xef\xbf\xbd";
    else if (length == 0)
      append_hex(out, "\\x", byte);
    else if (byte == '"' || byte == '\\')
      (out += '\\') += text[0];
    else if (byte == '\n')
      out += "\\n";
    else if (byte == '\r')
      out += "\\r";
    else if (byte == '\t')
      out += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      append_hex(out, format == log_format::json ? "\\u00" : "\\x", byte);
    else
      out += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

bool bare(std::string_view text) noexcept {
  for (const char c : text)
    if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=')
      return false;
  return !text.empty();
}

void append_text(std::string& out, std::string_view text, log_format format) {
  if (format == log_format::text && bare(text)) {
    out += text;
    return;
  }
  out += '"';
  append_escaped(out, text, format);
  out += '"';
}

struct value_writer {
  std::string& out;
  log_format format;
  void operator()(bool truth) const { out += truth ? "true" : "false"; }
  void operator()(std::int64_t number) const { out += std::to_string(number); }
  void operator()(std::uint64_t number) const { out += std::to_string(number); }
  void operator()(std::string_view text) const { append_text(out, text, format); }
};

void append_name(std::string& out, std::string_view name, log_format format) {
  if (format == log_format::json)
    ((out += '"') += name) += "\":";
  else
    (out += name) += '=';
}

// The settings and the sink behind every line. Made on first use, never destroyed, so that the
// last words of static objects still find it.
struct log_state {
  std::atomic<log_level> level{log_level::info};
  std::atomic<log_format> format{log_format::text};
  spdlog::logger text{"text", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  spdlog::logger json{"json", std::make_shared<spdlog::sinks::stderr_sink_mt>()};

  log_state() {
    prepare(text, "time=%Y-%m-%dT%H:%M:%S.%fZ %v");
    prepare(json, "{\"time\":\"%Y-%m-%dT%H:%M:%S.%fZ\",%v}");
  }

  static void prepare(spdlog::logger& logger, const char* pattern) {
    logger.set_formatter(
        std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
    logger.set_level(spdlog::level::trace);
  }
};

log_state& state() {
  static auto* const the_state = new log_state;
  return *the_state;
}

} // namespace

std::string_view name_of(log_level level) noexcept {
  switch (level) {
  case log_level::debug:
    return "debug";
  case log_level::info:
    return "info";
  case log_level::warning:
    return "warning";
  case log_level::error:
    return "error";
  case log_level::off:
    break;
  }
  return "off";
}

void configure_log(log_level level, log_format format) {
  state().level.store(level, std::memory_order_relaxed);
  state().format.store(format, std::memory_order_relaxed);
}

std::string log_line(log_format format, log_level level, log_name event,
                     std::initializer_list<log_field> fields) {
  std::string line;
  append_name(line, "level", format);
  append_text(line, name_of(level), format);
  line += format == log_format::json ? ',' : ' ';
  append_name(line, "event", format);
  append_text(line, event.text, format);
  for (const auto& field : fields) {
    line += format == log_format::json ? ',' : ' ';
    append_name(line, field.name.text, format);
    std::visit(value_writer{line, format}, field.value.value);
  }
  return line;
}

void log(log_level level, log_name event, std::initializer_list<log_field> fields) {
  auto& s = state();
  if (level == log_level::off || level < s.level.load(std::memory_order_relaxed))
    return;
  const auto format = s.format.load(std::memory_order_relaxed);
  auto& logger = format == log_format::json ? s.json : s.text;
  logger.log(spdlog::level::info, spdlog::string_view_t{log_line(format, level, event, fields)});
}

} // namespace lance::runtime
