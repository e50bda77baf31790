// Reads the small flat JSON objects this folder writes: keys, and values that are strings without
// escapes or whole numbers. Anything else is no object of ours.
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>

namespace lance::storage {

class flat_object {
 public:
  explicit flat_object(std::string_view text) noexcept : text_(text) {}

  /// Calls take(key, value, is_text) for each member. False when it is no such object, or when
  /// take() says so.
  template <class Take>
  [[nodiscard]] bool read(Take take) {
    if (!skip('{'))
      return false;
    if (skip('}'))
      return at_end();
    do {
      std::string_view key;
      std::string_view value;
      if (!text(key) || !skip(':'))
        return false;
      const bool is_text = peek() == '"';
      if (!(is_text ? text(value) : number(value)) || !take(key, value, is_text))
        return false;
    } while (skip(','));
    return skip('}') && at_end();
  }

  /// All of `text` as a decimal number.
  template <class Number>
  [[nodiscard]] static bool to_number(std::string_view text, Number& number) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
  }

 private:
  char peek() noexcept {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front())) != 0)
      text_.remove_prefix(1);
    return text_.empty() ? '\0' : text_.front();
  }
  bool skip(char wanted) noexcept {
    if (peek() != wanted)
      return false;
    text_.remove_prefix(1);
    return true;
  }
  bool at_end() noexcept { return peek() == '\0' && text_.empty(); }
  bool text(std::string_view& value) noexcept {
    if (!skip('"'))
      return false;
    const auto end = text_.find('"');
    if (end == std::string_view::npos)
      return false;
    value = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return value.find('\\') == std::string_view::npos;
  }
  bool number(std::string_view& value) noexcept {
    peek();
    const auto end = std::min(text_.find_first_not_of("0123456789"), text_.size());
    value = text_.substr(0, end);
    text_.remove_prefix(end);
    return end > 0;
  }

  std::string_view text_;
};

} // namespace lance::storage
