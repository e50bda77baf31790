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

/// What a key's value means and how it is written.
enum class kind : std::uint8_t {
  boolean,
  integer,
  size,     ///< bytes; text may carry a unit: "128MiB"
  duration, ///< in the unit its name ends with; text may carry another: "7d"
  ratio,    ///< 0..1
  text,
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
  idle,    ///< tunes something that is not built yet: a notice when changed
  refused, ///< promises something that is not built yet: refuses to start when changed
};

struct key {
  std::string_view section;
  std::string_view name;
  kind is;
  field (*at)(config&);
  std::string_view comment; ///< one sentence for people
  std::int64_t least = 0;   ///< numbers, and the elements of lists: both bounds included
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  std::string_view words = {}; ///< choices: separated by '|', in the order of the enum
  std::string_view flag = {};  ///< as CLI11 takes it: "-n,--node-id"
  state today = state::built;
  std::string_view feature = {}; ///< unless built: what is missing
  bool may_be_empty = false;     ///< addresses: empty switches the listener off

  [[nodiscard]] std::string path() const;        ///< "node.id"
  [[nodiscard]] std::string environment() const; ///< "LANCE_NODE_ID"
  [[nodiscard]] std::string flag_name() const;   ///< "--node-id"; empty without a flag
};

struct section {
  std::string_view name;
  std::string_view comment;
};

/// All keys, section by section in the order of sections().
[[nodiscard]] std::span<const key> keys() noexcept;
[[nodiscard]] std::span<const section> sections() noexcept;
/// Position in keys(), or nothing.
[[nodiscard]] std::optional<std::size_t> find_key(std::string_view path) noexcept;

} // namespace lance::config
