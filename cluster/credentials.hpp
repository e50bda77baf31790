// Who may come in by token. The table and its text form: a line per token, with the hash of the
// secret and never the secret itself.
//
//   # lance tokens 1
//   <name> <sha-256 of the token, hex> <created, s> <expires, s; 0: never>
//
// Plain data; one thread, or unchanging. No clock: the time comes in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/secret.hpp"

namespace lance::cluster {

/// Every token presented is compared with each of them.
inline constexpr std::size_t tokens_max = 10'000;
inline constexpr std::size_t token_name_bytes_max = 64;

struct token_row {
  std::string name; ///< A-Z a-z 0-9 - _ .
  runtime::secret_hash hash{};
  std::uint64_t created_s = 0;
  std::uint64_t expires_s = 0; ///< 0: never

  [[nodiscard]] bool expired(std::uint64_t now_s) const noexcept {
    return expires_s != 0 && now_s >= expires_s;
  }
  friend bool operator==(const token_row&, const token_row&) = default;
};

enum class token_verdict : std::uint8_t { known, unknown, expired };

class credentials {
 public:
  /// Reads the text form. Errors: bad_format, with the line in `line` (from 1); unsupported for a
  /// first line of a newer version; throttled beyond tokens_max.
  static result<credentials> parse(std::string_view text, std::size_t& line);
  [[nodiscard]] std::string text() const;

  /// Errors: invalid_name, topic_exists (the name is taken), throttled.
  result<> add(token_row row);
  /// False when there is no such token.
  bool remove(std::string_view name);

  /// Looks at every row, whatever it finds. `name` is set for known and expired ones.
  [[nodiscard]] token_verdict judge(byte_view token, std::uint64_t now_s, std::string& name) const;

  [[nodiscard]] const std::vector<token_row>& rows() const noexcept { return rows_; }

 private:
  std::vector<token_row> rows_;
};

} // namespace lance::cluster
