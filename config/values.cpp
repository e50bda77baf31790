#include "config/values.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "config/nearest.hpp"
#include "config/units.hpp"
#include "runtime/check.hpp"

namespace lance::config {

namespace {

template <class... Deeds>
struct overloaded : Deeds... {
  using Deeds::operator()...;
};
template <class... Deeds>
overloaded(Deeds...) -> overloaded<Deeds...>; // clang 16 asks for it

field field_of(const key& key, const config& values) {
  return key.at(const_cast<config&>(values)); // only read through, by the callers that come here
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto comma = text.find(',');
    auto part = text.substr(0, comma);
    while (part.starts_with(' '))
      part.remove_prefix(1);
    while (part.ends_with(' '))
      part.remove_suffix(1);
    parts.emplace_back(part);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return parts;
}

std::string_view unit_of(const key& key) {
  return key.name.substr(key.name.rfind('_') + 1);
}

template <class Number>
std::optional<Number> whole(std::string_view text) {
  Number number{};
  const auto end = text.data() + text.size();
  const auto [at, status] = std::from_chars(text.data(), end, number);
  if (status != std::errc{} || at != end)
    return std::nullopt;
  return number;
}

// -- what a key takes, in words ----------------------------------------------------------------

std::string bounds(const key& key) {
  const auto say = [&](std::int64_t n) {
    return key.is == kind::size && n > 0 ? size_text(static_cast<std::uint64_t>(n))
                                         : std::to_string(n);
  };
  if (key.most == std::numeric_limits<std::int64_t>::max())
    return key.least == 0 ? std::string{} : ", at least " + say(key.least);
  return ", " + say(key.least) + " to " + say(key.most);
}

std::string takes(const key& key) {
  switch (key.is) {
  case kind::boolean:
    return "takes true or false";
  case kind::integer:
    return "takes a whole number" + bounds(key);
  case kind::size:
    return "takes bytes, or text with a unit like \"128MiB\"" + bounds(key);
  case kind::duration:
    return "takes a number of " + std::string{unit_of(key)} +
           ", or text with a unit like \"250ms\" or \"7d\"" + bounds(key);
  case kind::ratio:
    return "takes a share between 0 and 1";
  case kind::text:
    return key.least > 0 ? "takes text that is not empty" : "takes text";
  case kind::address:
    return "takes an address as \"host:port\", port 0 to 65535";
  case kind::choice: {
    std::string said = "takes one of";
    for (const auto word : words_of(key))
      said += (said.ends_with("of") ? " \"" : ", \"") + std::string{word} + '"';
    return said;
  }
  case kind::address_list:
    return "takes a list of \"host:port\" or \"<id>@host:port\"";
  case kind::integer_list:
    return "takes a list of whole numbers" + bounds(key);
  }
  return {};
}

// -- shapes ------------------------------------------------------------------------------------

bool address_ok(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return false;
  const auto host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (!bracketed && host.find_first_of(":[]@/\" \t") != std::string_view::npos)
    return false;
  return whole<std::uint16_t>(text.substr(colon + 1)).has_value();
}

bool peer_ok(std::string_view text) {
  const auto at = text.find('@');
  if (at == std::string_view::npos)
    return address_ok(text);
  return whole<std::uint16_t>(text.substr(0, at)).has_value() && address_ok(text.substr(at + 1));
}

// The number a value stands for, within the key's bounds.
std::optional<std::int64_t> number_of(const key& key, const raw_value& value, bool from_text) {
  std::optional<std::int64_t> number;
  if (const auto* plain = std::get_if<std::int64_t>(&value))
    number = *plain;
  else if (const auto* text = std::get_if<std::string>(&value)) {
    if (key.is == kind::size)
      number = parse_size(*text);
    else if (key.is == kind::duration)
      number = parse_duration(*text, unit_of(key));
    else if (from_text)
      number = whole<std::int64_t>(*text);
  }
  return number && *number >= key.least && *number <= key.most ? number : std::nullopt;
}

// -- one function per kind of member; false: the value is of another shape -----------------------

struct assigner {
  const key& what;
  const raw_value& value;
  bool from_text;

  [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&value); }

  bool operator()(bool* to) const {
    if (const auto* truth = std::get_if<bool>(&value))
      return *to = *truth, true;
    if (!from_text || text() == nullptr)
      return false;
    if (*text() == "true" || *text() == "1")
      return *to = true, true;
    if (*text() == "false" || *text() == "0")
      return *to = false, true;
    return false;
  }

  bool operator()(std::uint64_t* to) const {
    const auto number = number_of(what, value, from_text);
    if (number)
      *to = static_cast<std::uint64_t>(*number);
    return number.has_value();
  }

  bool operator()(std::int64_t* to) const {
    const auto number = number_of(what, value, from_text);
    if (number)
      *to = *number;
    return number.has_value();
  }

  bool operator()(double* to) const {
    std::optional<double> share;
    if (const auto* real = std::get_if<double>(&value))
      share = *real;
    else if (const auto* number = std::get_if<std::int64_t>(&value))
      share = static_cast<double>(*number);
    else if (from_text && text() != nullptr)
      share = whole<double>(*text());
    if (!share || !(*share >= 0.0 && *share <= 1.0))
      return false;
    return *to = *share, true;
  }

  bool operator()(std::string* to) const {
    if (text() == nullptr || text()->find('\0') != std::string::npos)
      return false;
    if (what.is == kind::address && !(text()->empty() && what.may_be_empty) && !address_ok(*text()))
      return false;
    if (what.is == kind::text && static_cast<std::int64_t>(text()->size()) < what.least)
      return false;
    return *to = *text(), true;
  }

  bool operator()(std::vector<std::string>* to) const {
    std::vector<std::string> list;
    if (const auto* given = std::get_if<std::vector<std::string>>(&value))
      list = *given;
    else if (from_text && text() != nullptr)
      list = split(*text());
    else
      return false;
    if (!std::all_of(list.begin(), list.end(), peer_ok))
      return false;
    return *to = std::move(list), true;
  }

  bool operator()(std::vector<std::int64_t>* to) const {
    std::vector<std::int64_t> list;
    if (const auto* given = std::get_if<std::vector<std::int64_t>>(&value))
      list = *given;
    else if (const auto* words = std::get_if<std::vector<std::string>>(&value);
             words != nullptr && words->empty())
      list.clear(); // an empty list is a list of anything
    else if (from_text && text() != nullptr)
      for (const auto& part : split(*text())) {
        const auto number = whole<std::int64_t>(part);
        if (!number)
          return false;
        list.push_back(*number);
      }
    else
      return false;
    if (std::any_of(list.begin(), list.end(),
                    [&](auto n) { return n < what.least || n > what.most; }))
      return false;
    return *to = std::move(list), true;
  }

  bool operator()(choice_field to) const {
    const auto words = words_of(what);
    const auto found =
        text() == nullptr ? words.end() : std::find(words.begin(), words.end(), *text());
    if (found == words.end())
      return false;
    return *to.value = static_cast<std::uint8_t>(found - words.begin()), true;
  }
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  constexpr const char* hex = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (byte < 0x20 || byte == 0x7f)
      ((out += "\\u00") += hex[byte >> 4]) += hex[byte & 15];
    else
      out += c;
  }
  return out += '"';
}

template <class T, class Write>
std::string listed(const std::vector<T>& list, Write&& write) {
  std::string out = "[";
  for (const auto& element : list)
    out += (out.size() > 1 ? ", " : "") + write(element);
  return out += ']';
}

std::string real_text(double number) {
  char digits[32];
  const auto [end, status] = std::to_chars(digits, digits + sizeof digits, number);
  LANCE_CHECK(status == std::errc{});
  std::string text(digits, end);
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0"; // TOML tells reals from integers
  return text;
}

} // namespace

std::vector<std::string_view> words_of(const key& key) {
  std::vector<std::string_view> words;
  auto rest = key.words;
  while (!rest.empty()) {
    const auto bar = rest.find('|');
    words.push_back(rest.substr(0, bar));
    rest.remove_prefix(bar == std::string_view::npos ? rest.size() : bar + 1);
  }
  return words;
}

std::string assign(const key& key, config& into, const raw_value& value, bool from_text) {
  if (std::visit(assigner{key, value, from_text}, key.at(into)))
    return {};
  auto said = takes(key);
  if (const auto* text = std::get_if<std::string>(&value);
      text != nullptr && key.is == kind::choice) {
    const auto words = words_of(key);
    const auto meant = nearest(*text, {words.begin(), words.end()});
    if (!meant.empty())
      said += "; did you mean \"" + meant + "\"?";
  }
  return said;
}

std::string to_toml(const key& key, const config& values) {
  return std::visit(
      overloaded{[](const bool* value) -> std::string { return *value ? "true" : "false"; },
                 [](const std::uint64_t* value) { return std::to_string(*value); },
                 [](const std::int64_t* value) { return std::to_string(*value); },
                 [](const double* value) { return real_text(*value); },
                 [](const std::string* value) { return quoted(*value); },
                 [](const std::vector<std::string>* value) { return listed(*value, quoted); },
                 [](const std::vector<std::int64_t>* value) {
                   return listed(*value, [](std::int64_t n) { return std::to_string(n); });
                 },
                 [&](choice_field value) { return quoted(words_of(key).at(*value.value)); }},
      field_of(key, values));
}

std::string readable(const key& key, const config& values) {
  if (key.is != kind::size)
    return {};
  const auto bytes = *std::get<std::uint64_t*>(field_of(key, values));
  return bytes < KiB ? std::string{} : size_text(bytes);
}

bool same(const key& key, const config& a, const config& b) {
  return to_toml(key, a) == to_toml(key, b);
}

} // namespace lance::config
