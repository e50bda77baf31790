#include "cluster/access.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace lance::cluster {

namespace {

constexpr std::string_view first_line = "# lance access 1";
constexpr std::string_view any_first_line = "# lance access ";
constexpr std::size_t word_bytes_max = 1024;
constexpr std::size_t topics_of_rule_max = 100;

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 5> right_words{
    {{"produce", static_cast<std::uint8_t>(right::produce)},
     {"consume", static_cast<std::uint8_t>(right::consume)},
     {"group", static_cast<std::uint8_t>(right::group)},
     {"admin", static_cast<std::uint8_t>(right::admin)},
     {"all", all_rights}}};

std::string_view next_word(std::string_view& rest) noexcept {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r"), rest.size()));
  const auto word = rest.substr(0, std::min(rest.find_first_of(" \t\r"), rest.size()));
  rest.remove_prefix(word.size());
  return word;
}

// Calls take(part) for each part between commas; false from it ends with false.
template <class Take>
bool each_part(std::string_view list, Take take) {
  for (;;) {
    const auto end = std::min(list.find(','), list.size());
    if (!take(list.substr(0, end)))
      return false;
    if (end == list.size())
      return true;
    list.remove_prefix(end + 1);
  }
}

bool valid_pattern(std::string_view pattern) noexcept {
  return !pattern.empty() && pattern.size() <= 255 &&
         std::all_of(pattern.begin(), pattern.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '*';
         });
}

bool valid_identity(std::string_view identity) noexcept {
  const auto rest = [&](std::string_view kind) {
    return identity.starts_with(kind) && identity.size() > kind.size();
  };
  return identity.size() <= word_bytes_max &&
         (identity == "*" || rest("token:") || rest("cert:")) &&
         std::none_of(identity.begin(), identity.end(),
                      [](char c) { return c <= ' ' || c == '\x7f'; });
}

} // namespace

std::string_view name_of(right which) noexcept {
  for (const auto& [word, bits] : right_words)
    if (bits == static_cast<std::uint8_t>(which))
      return word;
  return "?";
}

bool matches(std::string_view pattern, std::string_view name) noexcept {
  // Greedy with one point to come back to: linear in practice, quadratic at worst, never more.
  std::size_t at = 0;
  std::size_t in = 0;
  auto star = std::string_view::npos;
  std::size_t star_at = 0;
  while (in < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_at = in;
    } else if (at < pattern.size() && pattern[at] == name[in]) {
      ++at;
      ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++star_at;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*')
    ++at;
  return at == pattern.size();
}

result<std::uint8_t> parse_rights(std::string_view text) noexcept {
  std::uint8_t rights = 0;
  const bool good = each_part(text, [&](std::string_view part) {
    for (const auto& [word, bits] : right_words)
      if (part == word) {
        rights = static_cast<std::uint8_t>(rights | bits);
        return true;
      }
    return false;
  });
  if (!good)
    return fail(errc::bad_format);
  return rights;
}

result<access_rules> access_rules::parse(std::string_view text, std::size_t& line,
                                         std::string& why) {
  access_rules made;
  line = 0;
  while (!text.empty()) {
    ++line;
    const auto end = std::min(text.find('\n'), text.size());
    auto rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (rest.starts_with(any_first_line) && rest != first_line) {
      why = "it was written by a newer version";
      return fail(errc::unsupported);
    }
    const auto identity = next_word(rest);
    if (identity.empty() || identity.front() == '#')
      continue;
    access_rule rule;
    rule.identity = identity;
    const auto rights = next_word(rest);
    const auto topics = next_word(rest);
    if (topics.empty() || !next_word(rest).empty()) {
      why = "a rule is three words: identity, rights, topics";
      return fail(errc::bad_format);
    }
    const auto parsed = parse_rights(rights);
    if (!parsed) {
      why = "rights are produce, consume, group, admin or all, separated by commas";
      return fail(errc::bad_format);
    }
    rule.rights = *parsed;
    each_part(topics, [&](std::string_view part) {
      rule.topics.emplace_back(part);
      return rule.topics.size() <= topics_of_rule_max;
    });
    if (const auto added = made.add(std::move(rule), why); !added)
      return tl::unexpected{added.error()};
  }
  return made;
}

std::string access_rules::text() const {
  std::string made{first_line};
  made += '\n';
  for (const auto& rule : rules_) {
    made += rule.identity + ' ';
    if (rule.rights == all_rights) {
      made += "all";
    } else {
      bool first = true;
      for (const auto& [word, bits] : right_words)
        if (bits != all_rights && (rule.rights & bits) != 0) {
          made += first ? "" : ",";
          made += word;
          first = false;
        }
    }
    for (std::size_t i = 0; i < rule.topics.size(); ++i)
      made += (i == 0 ? ' ' : ',') + rule.topics[i];
    made += '\n';
  }
  return made;
}

result<> access_rules::add(access_rule rule, std::string& why) {
  if (!valid_identity(rule.identity)) {
    why = "an identity is token:<name>, cert:<subjectAltName> or *";
    return fail(errc::bad_format);
  }
  if (rule.rights == 0 || (rule.rights & ~all_rights) != 0) {
    why = "a rule gives one right at least";
    return fail(errc::bad_format);
  }
  if (rule.topics.empty() || rule.topics.size() > topics_of_rule_max ||
      !std::all_of(rule.topics.begin(), rule.topics.end(), valid_pattern)) {
    why = "topics are names of A-Z a-z 0-9 - _ with * for any run of characters, at most 100";
    return fail(errc::bad_format);
  }
  if (rules_.size() >= access_rules_max) {
    why = "there are at most 10,000 rules";
    return fail(errc::throttled);
  }
  rules_.push_back(std::move(rule));
  return {};
}

std::size_t access_rules::remove(std::string_view identity) {
  return std::erase_if(rules_, [&](const auto& each) { return each.identity == identity; });
}

std::uint8_t access_rules::rights_of(std::span<const std::string> identities,
                                     std::string_view topic) const noexcept {
  std::uint8_t rights = 0;
  if (identities.empty())
    return rights;
  for (const auto& rule : rules_) {
    const bool meant = rule.identity == "*" || std::find(identities.begin(), identities.end(),
                                                         rule.identity) != identities.end();
    if (meant && std::any_of(rule.topics.begin(), rule.topics.end(),
                             [&](const auto& pattern) { return matches(pattern, topic); }))
      rights = static_cast<std::uint8_t>(rights | rule.rights);
  }
  return rights;
}

bool access_rules::allow(std::span<const std::string> identities, right wanted,
                         std::string_view topic) const noexcept {
  return (rights_of(identities, topic) & static_cast<std::uint8_t>(wanted)) != 0;
}

bool access_rules::allow_any(std::span<const std::string> identities,
                             std::string_view topic) const noexcept {
  return rights_of(identities, topic) != 0;
}

} // namespace lance::cluster
