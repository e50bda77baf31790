// The one table of keys: parsing, environment, flags, printing, judging and the tests all walk it,
// so that no key can be forgotten.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.hpp"

namespace lance::config {

/// What a key's text means and how it is written.
enum class kind : std::uint8_t {
  boolean,
  integer,
  size,     ///< bytes; text may carry KiB, MiB, GiB, TiB, KB, MB, GB, TB, B
  duration, ///< in the unit the key's name ends with; text may carry us, ms, s, m, h, d
  ratio,    ///< 0..1
  text,
  path,
  address,      ///< host:port, port 0..65535
  choice,       ///< one of a few words
  address_list, ///< host:port or <id>@host:port
  integer_list,
};

/// The member of a config that a key means. Choices are enums of one byte.
struct choice_field {
  std::uint8_t* value;
};
using field = std::variant<bool*, std::uint64_t*, std::int64_t*, double*, std::string*,
                           std::vector<std::string>*, std::vector<std::int64_t>*, choice_field>;

/// What this build does with a key.
enum class state : std::uint8_t {
  built,
  idle,    ///< belongs to something not built yet and promises nothing: a notice when changed
  refused, ///< promises something not built yet: changing it refuses to start
};

struct key {
  std::string_view section;
  std::string_view name;
  kind is;
  field (*at)(config&);
  std::string_view comment; ///< one sentence
  std::int64_t least = 0;   ///< numbers: both included
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  std::string_view words = {}; ///< choices: separated by '|', in the order of the enum
  std::string_view flag = {};  ///< as CLI11 takes it: "-n,--node-id"
  state today = state::built;
  bool may_be_empty = false; ///< addresses: empty switches the listener off

  [[nodiscard]] std::string path() const;        ///< "node.id"
  [[nodiscard]] std::string environment() const; ///< "LANCE_NODE_ID"
  [[nodiscard]] std::string flag_name() const;   ///< "--node-id"
};

[[nodiscard]] std::span<const key> keys() noexcept;
/// Position in keys(), or nothing.
[[nodiscard]] std::optional<std::size_t> find_key(std::string_view path) noexcept;
/// One sentence for each section, in the order of the file.
struct section {
  std::string_view name;
  std::string_view comment;
};
[[nodiscard]] std::span<const section> sections() noexcept;

// -- values ----------------------------------------------------------------------------------

/// A value as some source gave it: TOML's types; environment and flags give text only.
using raw_value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>,
                               std::vector<std::int64_t>>;

/// Puts `value` where `key` says. Empty when it fitted, else what is wrong and what would be right,
/// as the rest of a sentence ("takes true or false"). `from_text`: the value comes from a flag or
/// the environment, where everything is text and lists are separated by commas.
[[nodiscard]] std::string assign(const key& key, config& into, const raw_value& value,
                                 bool from_text = false);

/// The value as TOML writes it.
[[nodiscard]] std::string to_toml(const key& key, const config& values);

/// Whether the two agree in this key.
[[nodiscard]] bool same(const key& key, const config& a, const config& b);

} // namespace lance::config
