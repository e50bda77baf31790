#include "client/cli/text.hpp"

#include <cstdint>

namespace lance::client::cli {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

unsigned at(byte_view bytes, std::size_t index) noexcept {
  return std::to_integer<unsigned>(bytes[index]);
}

// How many leading bytes are ASCII; whole words at a time.
std::size_t ascii_bytes(byte_view bytes) noexcept {
  std::size_t count = 0;
  while (bytes.size() - count >= 8 &&
         (load_le<std::uint64_t>(bytes.data() + count) & 0x8080808080808080U) == 0)
    count += 8;
  while (count < bytes.size() && at(bytes, count) < 0x80)
    ++count;
  return count;
}

// The length of the multi-byte sequence at the front, 0 when it is none. Overlong forms, surrogates
// and numbers above U+10FFFF are none.
std::size_t sequence_bytes(byte_view bytes) noexcept {
  const auto first = at(bytes, 0);
  if (first < 0xc2 || first > 0xf4)
    return 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (bytes.size() < length)
    return 0;
  for (std::size_t n = 1; n < length; ++n)
    if ((at(bytes, n) & 0xc0U) != 0x80)
      return 0;
  const auto second = at(bytes, 1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
    return 0;
  return length;
}

void append_escaped(std::string& to, char c) {
  to += '\\';
  switch (c) {
  case '\n':
    to += 'n';
    return;
  case '\r':
    to += 'r';
    return;
  case '\t':
    to += 't';
    return;
  case '"':
  case '\\':
    to += c;
    return;
  default:
    break;
  }
  const auto value = static_cast<unsigned char>(c);
  to += "u00";
  to += hex_digits[value >> 4U];
  to += hex_digits[value & 15U];
}

int base64_value(char c) noexcept {
  const auto found = base64_digits.find(c);
  return found == std::string_view::npos ? -1 : static_cast<int>(found);
}

} // namespace

bool valid_utf8(byte_view bytes) noexcept {
  while (true) {
    bytes = bytes.subspan(ascii_bytes(bytes));
    if (bytes.empty())
      return true;
    const auto length = sequence_bytes(bytes);
    if (length == 0)
      return false;
    bytes = bytes.subspan(length);
  }
}

void append_json_string(std::string& to, std::string_view text) {
  to += '"';
  std::size_t plain = 0;
  for (std::size_t n = 0; n < text.size(); ++n) {
    const auto c = static_cast<unsigned char>(text[n]);
    if (c >= 0x20 && c != '"' && c != '\\')
      continue;
    to.append(text, plain, n - plain);
    append_escaped(to, text[n]);
    plain = n + 1;
  }
  to.append(text, plain);
  to += '"';
}

void append_hex(std::string& to, byte_view bytes) {
  for (const auto byte : bytes) {
    to += hex_digits[std::to_integer<unsigned>(byte) >> 4U];
    to += hex_digits[std::to_integer<unsigned>(byte) & 15U];
  }
}

void append_base64(std::string& to, byte_view bytes) {
  for (std::size_t n = 0; n < bytes.size(); n += 3) {
    const auto left = bytes.size() - n;
    const auto group = at(bytes, n) << 16U | (left > 1 ? at(bytes, n + 1) << 8U : 0) |
                       (left > 2 ? at(bytes, n + 2) : 0);
    to += base64_digits[group >> 18U];
    to += base64_digits[group >> 12U & 63U];
    to += left > 1 ? base64_digits[group >> 6U & 63U] : '=';
    to += left > 2 ? base64_digits[group & 63U] : '=';
  }
}

std::optional<std::vector<std::byte>> parse_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::vector<std::byte> out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t n = 0; n < text.size(); n += 4) {
    const bool last = n + 4 == text.size();
    const std::size_t digits = last ? 4 - padding : 4;
    unsigned group = 0;
    for (std::size_t digit = 0; digit < 4; ++digit) {
      const int value = digit < digits ? base64_value(text[n + digit]) : 0;
      if (value < 0)
        return std::nullopt;
      group = group << 6U | static_cast<unsigned>(value);
    }
    const std::size_t count = digits - 1;
    for (std::size_t byte = 0; byte < count; ++byte)
      out.push_back(static_cast<std::byte>(group >> (16U - 8U * byte) & 0xffU));
  }
  return out;
}

} // namespace lance::client::cli
