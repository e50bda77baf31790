#include "config/units.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace lance::config {

namespace {

struct unit {
  std::string_view name;
  std::int64_t worth;
};

constexpr std::array size_units{
    unit{"TiB", 1LL << 40},
    unit{"GiB", 1LL << 30},
    unit{"MiB", 1LL << 20},
    unit{"KiB", 1LL << 10},
    unit{"TB", 1'000'000'000'000},
    unit{"GB", 1'000'000'000},
    unit{"MB", 1'000'000},
    unit{"KB", 1'000},
    unit{"kB", 1'000},
    unit{"B", 1},
};

constexpr std::array duration_units{
    unit{"us", 1},         unit{"ms", 1'000},        unit{"s", 1'000'000},
    unit{"m", 60'000'000}, unit{"h", 3'600'000'000}, unit{"d", 86'400'000'000},
};

std::optional<std::int64_t> times(std::int64_t count, std::int64_t worth) noexcept {
  if (count > std::numeric_limits<std::int64_t>::max() / worth)
    return std::nullopt;
  return count * worth;
}

// The leading digits of `text`, which are cut off it.
std::optional<std::int64_t> take_number(std::string_view& text) noexcept {
  std::int64_t count = 0;
  const auto [at, status] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (status != std::errc{} || count < 0)
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(at - text.data()));
  while (text.starts_with(' '))
    text.remove_prefix(1);
  return count;
}

template <std::size_t N>
std::optional<std::int64_t> worth_of(std::string_view name, const std::array<unit, N>& units) {
  for (const auto& unit : units)
    if (unit.name == name)
      return unit.worth;
  return std::nullopt;
}

} // namespace

std::optional<std::int64_t> parse_size(std::string_view text) noexcept {
  const auto count = take_number(text);
  const auto worth = text.empty() ? std::optional<std::int64_t>{1} : worth_of(text, size_units);
  return count && worth ? times(*count, *worth) : std::nullopt;
}

std::optional<std::int64_t> parse_duration(std::string_view text, std::string_view unit) noexcept {
  const auto count = take_number(text);
  const auto worth = worth_of(text.empty() ? unit : text, duration_units);
  const auto wanted = worth_of(unit, duration_units);
  if (!count || !worth || !wanted)
    return std::nullopt;
  const auto in_us = times(*count, *worth);
  if (!in_us || *in_us % *wanted != 0)
    return std::nullopt;
  return *in_us / *wanted;
}

std::string size_text(std::uint64_t bytes) {
  for (const auto& unit : size_units)
    if (const auto worth = static_cast<std::uint64_t>(unit.worth);
        (worth & (worth - 1)) == 0 && bytes > 0 && bytes % worth == 0)
      return std::to_string(bytes / worth) + std::string{unit.name};
  return std::to_string(bytes) + 'B';
}

} // namespace lance::config
