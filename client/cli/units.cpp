#include "client/cli/units.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace lance::client::cli {

namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array byte_units{
    unit{"", 1},
    unit{"B", 1},
    unit{"KB", 1'000},
    unit{"MB", 1'000'000},
    unit{"GB", 1'000'000'000},
    unit{"TB", 1'000'000'000'000},
    unit{"KiB", KiB},
    unit{"MiB", MiB},
    unit{"GiB", GiB},
    unit{"TiB", 1024 * GiB},
};

constexpr std::array time_units{
    unit{"us", us_in_ns},         unit{"ms", ms_in_ns},       unit{"s", s_in_ns},
    unit{"m", 60 * s_in_ns},      unit{"h", 3'600 * s_in_ns}, unit{"d", 86'400 * s_in_ns},
    unit{"w", 604'800 * s_in_ns},
};

// Takes digits from the front of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text) noexcept {
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, number);
  if (fault != std::errc{})
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return number;
}

template <class Units>
std::optional<std::uint64_t> factor_of(const Units& units, std::string_view name) noexcept {
  for (const auto& one : units)
    if (one.name == name)
      return one.factor;
  return std::nullopt;
}

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional{product};
}

std::optional<std::uint64_t> add(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional{sum};
}

// `.5` and the like from the front of `text`, in ns; digits beyond the ninth are dropped.
std::optional<std::uint64_t> take_fraction_ns(std::string_view& text) noexcept {
  if (!text.starts_with('.'))
    return 0;
  text.remove_prefix(1);
  std::uint64_t ns = 0;
  std::uint64_t digit_ns = s_in_ns / 10;
  std::size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    ns += static_cast<std::uint64_t>(text[digits] - '0') * digit_ns;
    digit_ns /= 10;
  }
  text.remove_prefix(digits);
  return digits == 0 ? std::nullopt : std::optional{ns};
}

// `width` digits and the character after them, if one is named.
std::optional<int> take_field(std::string_view& text, std::size_t width, char after) noexcept {
  int value = 0;
  const auto needed = width + (after != '\0' ? 1 : 0);
  if (text.size() < needed)
    return std::nullopt;
  const auto [stop, fault] = std::from_chars(text.data(), text.data() + width, value);
  if (fault != std::errc{} || stop != text.data() + width || text[0] == '-')
    return std::nullopt;
  if (after != '\0' && text[width] != after)
    return std::nullopt;
  text.remove_prefix(needed);
  return value;
}

// What follows seconds and fraction: `Z` or `+hh:mm`, in seconds east.
std::optional<int> take_zone(std::string_view text) noexcept {
  if (text == "Z" || text == "z")
    return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-'))
    return std::nullopt;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  const auto hours = take_field(text, 2, ':');
  const auto minutes = hours ? take_field(text, 2, '\0') : std::nullopt;
  if (!minutes || !text.empty() || *hours > 23 || *minutes > 59)
    return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

std::optional<std::uint64_t> parse_rfc3339_ns(std::string_view text) noexcept {
  const auto year = take_field(text, 4, '-');
  const auto month = year ? take_field(text, 2, '-') : std::nullopt;
  const auto day = month ? take_field(text, 2, '\0') : std::nullopt;
  if (!day || text.empty() || (text[0] != 'T' && text[0] != 't' && text[0] != ' '))
    return std::nullopt;
  text.remove_prefix(1);
  const auto hour = take_field(text, 2, ':');
  const auto minute = hour ? take_field(text, 2, ':') : std::nullopt;
  const auto second = minute ? take_field(text, 2, '\0') : std::nullopt;
  const auto fraction_ns = second ? take_fraction_ns(text) : std::nullopt;
  const auto zone = fraction_ns ? take_zone(text) : std::nullopt;
  if (!zone || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok())
    return std::nullopt;
  const auto days = std::chrono::sys_days{date}.time_since_epoch().count();
  const auto seconds = std::int64_t{days} * 86'400 + *hour * 3600 + *minute * 60 + *second - *zone;
  if (seconds < 0)
    return std::nullopt;
  const auto ns = multiply(static_cast<std::uint64_t>(seconds), s_in_ns);
  return ns ? add(*ns, *fraction_ns) : std::nullopt;
}

std::optional<std::uint64_t> parse_unix_ns(std::string_view text) noexcept {
  const auto seconds = take_number(text);
  const auto fraction_ns = seconds ? take_fraction_ns(text) : std::nullopt;
  const auto ns = fraction_ns && text.empty() ? multiply(*seconds, s_in_ns) : std::nullopt;
  return ns ? add(*ns, *fraction_ns) : std::nullopt;
}

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

} // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto number = take_number(text);
  const auto factor = number ? factor_of(byte_units, text) : std::nullopt;
  return factor ? multiply(*number, *factor) : std::nullopt;
}

std::optional<std::uint64_t> parse_duration_ns(std::string_view text) {
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
    const auto seconds = take_number(text);
    return seconds ? multiply(*seconds, s_in_ns) : std::nullopt;
  }
  std::optional<std::uint64_t> total;
  while (!text.empty()) {
    const auto number = take_number(text);
    const auto name = text.substr(0, text.find_first_of("0123456789"));
    const auto factor = number ? factor_of(time_units, name) : std::nullopt;
    const auto part = factor ? multiply(*number, *factor) : std::nullopt;
    total = part ? add(total.value_or(0), *part) : std::nullopt;
    if (!total)
      return std::nullopt;
    text.remove_prefix(name.size());
  }
  return total;
}

std::optional<std::uint64_t> parse_time_ns(std::string_view text, std::uint64_t now_ns) {
  if (text.starts_with('-')) {
    const auto back = parse_duration_ns(text.substr(1));
    return back && *back <= now_ns ? std::optional{now_ns - *back} : std::nullopt;
  }
  const auto stamp = parse_rfc3339_ns(text);
  return stamp ? stamp : parse_unix_ns(text);
}

std::optional<start_position> parse_start(std::string_view text, std::uint64_t now_ns) {
  using kind = start_position::kind;
  if (text == "earliest")
    return start_position{kind::earliest, 0};
  if (text == "latest")
    return start_position{kind::latest, 0};
  if (text.starts_with('@')) {
    const auto time = parse_time_ns(text.substr(1), now_ns);
    return time ? std::optional{start_position{kind::time, *time}} : std::nullopt;
  }
  const bool record = text.starts_with("record:");
  text.remove_prefix(record ? std::string_view{"record:"}.size() : 0);
  const auto number = take_number(text);
  if (!number || !text.empty())
    return std::nullopt;
  return start_position{record ? kind::record : kind::offset, *number};
}

std::string show_bytes(std::uint64_t bytes) {
  constexpr std::array names{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t at = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && at + 1 < names.size(); ++at)
    value /= 1024;
  const bool whole = value == static_cast<double>(static_cast<std::uint64_t>(value));
  return format(whole ? "%.0f %s" : "%.1f %s", value, names[at]);
}

std::string show_seconds(std::uint64_t seconds) {
  if (seconds == 0)
    return "0s";
  std::string text;
  for (const auto& [name, size] :
       {unit{"d", 86'400}, unit{"h", 3'600}, unit{"m", 60}, unit{"s", 1}}) {
    if (seconds / size != 0)
      text.append(std::to_string(seconds / size)).append(name);
    seconds %= size;
  }
  return text;
}

std::string show_latency(std::uint64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < us_in_ns)
    return format("%.0f ns", value);
  if (ns < ms_in_ns)
    return format("%.1f us", value / 1e3);
  if (ns < s_in_ns)
    return format("%.2f ms", value / 1e6);
  return format("%.2f s", value / 1e9);
}

std::string show_time(std::uint64_t unix_seconds) {
  const std::chrono::sys_seconds time{
      std::chrono::seconds{static_cast<std::int64_t>(unix_seconds)}};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return format("%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
}

} // namespace lance::client::cli
