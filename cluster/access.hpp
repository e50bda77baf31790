// Who may do what with which topic: rules, and the one question they answer. Denied unless a rule
// allows it; no rule takes anything away, so that their order says nothing.
//
//   # lance access 1
//   <identity> <rights, comma separated> <topics, comma separated>
//   token:shop      produce           orders,orders-*
//   cert:spiffe://reports/nightly  consume  *
//   *               consume           public-*
//
// Identities: `token:<name>`, `cert:<subjectAltName>`, or `*` for everybody who has shown who it
// is. They match as a whole and letter by letter. Topics may hold `*` for any run of characters,
// nothing else: no text of a user's is ever a pattern. Rights: produce, consume, group, admin, all.
//
// Unchanging after parse(); any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.hpp"

namespace lance::cluster {

inline constexpr std::size_t access_rules_max = 10'000;

enum class right : std::uint8_t {
  produce = 1,
  consume = 2,
  group = 4,
  admin = 8, ///< make, change, delete and describe
};
inline constexpr std::uint8_t all_rights = 15;
[[nodiscard]] std::string_view name_of(right which) noexcept;

struct access_rule {
  std::string identity;
  std::uint8_t rights = 0; ///< bits of `right`
  std::vector<std::string> topics;
  friend bool operator==(const access_rule&, const access_rule&) = default;
};

class access_rules {
 public:
  /// Errors: bad_format, with the line in `line` (from 1) and what is wrong in `why`; unsupported
  /// for a first line of a newer version; throttled beyond access_rules_max.
  static result<access_rules> parse(std::string_view text, std::size_t& line, std::string& why);
  [[nodiscard]] std::string text() const;

  /// Errors: bad_format with `why`, throttled.
  result<> add(access_rule rule, std::string& why);
  /// Takes the rules of the identity away; how many there were.
  std::size_t remove(std::string_view identity);

  /// Whether somebody known by these identities (one at least, or nothing is allowed) may do this.
  [[nodiscard]] bool allow(std::span<const std::string> identities, right wanted,
                           std::string_view topic) const noexcept;
  /// The same for any of the rights: may they know that the topic is there?
  [[nodiscard]] bool allow_any(std::span<const std::string> identities,
                               std::string_view topic) const noexcept;

  [[nodiscard]] const std::vector<access_rule>& rules() const noexcept { return rules_; }

 private:
  [[nodiscard]] std::uint8_t rights_of(std::span<const std::string> identities,
                                       std::string_view topic) const noexcept;
  std::vector<access_rule> rules_;
};

/// `*` in the pattern stands for any run of characters.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name) noexcept;

/// Reads `produce,consume` or `all`. Errors: bad_format.
[[nodiscard]] result<std::uint8_t> parse_rights(std::string_view text) noexcept;

} // namespace lance::cluster
