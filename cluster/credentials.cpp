#include "cluster/credentials.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace lance::cluster {

namespace {

constexpr std::string_view first_line = "# lance tokens 1";
constexpr std::string_view any_first_line = "# lance tokens ";

bool valid_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= token_name_bytes_max &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

// Takes the next word; empty at the end.
std::string_view next_word(std::string_view& rest) noexcept {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r"), rest.size()));
  const auto word = rest.substr(0, std::min(rest.find_first_of(" \t\r"), rest.size()));
  rest.remove_prefix(word.size());
  return word;
}

bool to_number(std::string_view text, std::uint64_t& number) noexcept {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  return fault == std::errc{} && end == text.data() + text.size();
}

} // namespace

result<credentials> credentials::parse(std::string_view text, std::size_t& line) {
  credentials made;
  line = 0;
  while (!text.empty()) {
    ++line;
    const auto end = std::min(text.find('\n'), text.size());
    auto rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (rest.starts_with(any_first_line) && rest != first_line)
      return fail(errc::unsupported);
    const auto name = next_word(rest);
    if (name.empty() || name.front() == '#')
      continue;
    const auto hash = runtime::hash_from_hex(next_word(rest));
    token_row row;
    row.name = name;
    if (!hash || !to_number(next_word(rest), row.created_s) ||
        !to_number(next_word(rest), row.expires_s) || !next_word(rest).empty())
      return fail(errc::bad_format);
    row.hash = *hash;
    if (const auto added = made.add(std::move(row)); !added)
      return fail(added.error().code == errc::throttled ? errc::throttled : errc::bad_format);
  }
  return made;
}

std::string credentials::text() const {
  std::string made{first_line};
  made += '\n';
  for (const auto& row : rows_)
    made += row.name + ' ' + runtime::to_hex(row.hash) + ' ' + std::to_string(row.created_s) + ' ' +
            std::to_string(row.expires_s) + '\n';
  return made;
}

result<> credentials::add(token_row row) {
  if (!valid_name(row.name))
    return fail(errc::invalid_name);
  if (std::any_of(rows_.begin(), rows_.end(),
                  [&](const auto& each) { return each.name == row.name; }))
    return fail(errc::topic_exists);
  if (rows_.size() >= tokens_max)
    return fail(errc::throttled);
  rows_.push_back(std::move(row));
  return {};
}

bool credentials::remove(std::string_view name) {
  return std::erase_if(rows_, [&](const auto& each) { return each.name == name; }) > 0;
}

token_verdict credentials::judge(byte_view token, std::uint64_t now_s, std::string& name) const {
  const auto hash = runtime::hash_secret(token);
  const token_row* found = nullptr;
  for (const auto& row : rows_)
    if (runtime::same_secret(hash, row.hash))
      found = &row;
  if (found == nullptr)
    return token_verdict::unknown;
  name = found->name;
  return found->expired(now_s) ? token_verdict::expired : token_verdict::known;
}

} // namespace lance::cluster
