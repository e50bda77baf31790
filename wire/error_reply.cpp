#include "wire/error_reply.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace lance::wire {

namespace {

constexpr std::string_view redirect = "redirect to ";

struct free_text {
  std::string_view part; ///< what the sentence contains
  errc code;
};

// The published server's sentences, the more telling part first: "Configuration error: Topic 3 not
// found" must not be taken for a bad configuration.
constexpr std::array published{
    free_text{"already exists", errc::topic_exists},
    free_text{"Unknown topic", errc::topic_not_found},
    free_text{"not found", errc::topic_not_found},
    free_text{"Topic name required", errc::invalid_name},
    free_text{"Invalid data", errc::invalid_name},
    free_text{"Rate limit exceeded", errc::throttled},
    free_text{"Authentication required", errc::not_authenticated},
    free_text{"Invalid client command", errc::unsupported},
    free_text{"payload", errc::invalid_request},
    free_text{"Protocol error", errc::invalid_request},
};

bool word_character(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || c == '_';
}

// The text in front of ": " when it looks like a code of ours.
std::string_view leading_word(std::string_view text) noexcept {
  const auto colon = text.find(": ");
  const auto word = text.substr(0, colon == std::string_view::npos ? 0 : colon);
  return std::all_of(word.begin(), word.end(), word_character) ? word : std::string_view{};
}

errc code_of_free_text(std::string_view text) noexcept {
  for (const auto& [part, code] : published)
    if (text.find(part) != std::string_view::npos)
      return code;
  return errc::internal;
}

// Cuts between characters of UTF-8, not inside one.
std::string_view cut(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes)
    return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U)
    --bytes;
  return text.substr(0, bytes);
}

} // namespace

std::string error_text(errc code, std::string_view sentence) {
  std::string text{wire_code(code)};
  text += ": ";
  text += cut(sentence.empty() ? describe(code) : sentence, error_text_bytes_max - text.size());
  return text;
}

std::string not_leader_text(std::string_view address) {
  if (address.empty())
    return error_text(errc::not_leader, "leader unknown");
  return error_text(errc::not_leader, std::string{redirect}.append(address));
}

error_reply parse_error(std::string_view text) noexcept {
  // The published client looks for this word anywhere in the text, and so do we.
  if (text.find(wire_code(errc::forward_failed)) != std::string_view::npos) {
    const bool leads = leading_word(text) == wire_code(errc::forward_failed);
    return {errc::forward_failed, leads ? text.substr(text.find(": ") + 2) : text, {}};
  }
  const auto word = leading_word(text);
  if (word.empty())
    return {code_of_free_text(text), text, {}};
  error_reply reply{code_of_wire_word(word), text.substr(word.size() + 2), {}};
  if (reply.code == errc::not_leader && reply.sentence.starts_with(redirect))
    reply.leader = reply.sentence.substr(redirect.size());
  return reply;
}

std::uint32_t retry_after_ms(std::string_view sentence) noexcept {
  constexpr std::string_view before = "retry after ";
  constexpr std::string_view unit = " ms";
  const auto at = sentence.rfind(before);
  if (at == std::string_view::npos || !sentence.ends_with(unit))
    return 0;
  sentence.remove_prefix(at + before.size());
  sentence.remove_suffix(std::min(unit.size(), sentence.size()));
  std::uint32_t value = 0;
  const auto* end = sentence.data() + sentence.size();
  const auto read = std::from_chars(sentence.data(), end, value);
  return read.ec == std::errc{} && read.ptr == end ? value : 0;
}

} // namespace lance::wire
