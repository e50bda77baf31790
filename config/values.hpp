// From what a source says to a member of config, and back to TOML.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "config/keys.hpp"

namespace lance::config {

/// A value as some source gave it: TOML's types; environment and flags give text only.
using raw_value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>,
                               std::vector<std::int64_t>>;

/// Puts `value` where `key` says. Empty when it fitted; else nothing is changed and this is what
/// the key takes, as the rest of a sentence ("takes true or false"). `from_text`: the value comes
/// from a flag or the environment, where everything is text and commas separate a list.
[[nodiscard]] std::string assign(const key& key, config& into, const raw_value& value,
                                 bool from_text = false);

/// The value as TOML writes it.
[[nodiscard]] std::string to_toml(const key& key, const config& values);

/// For sizes the value with its unit, "128MiB"; empty where the number says it.
[[nodiscard]] std::string readable(const key& key, const config& values);

/// Whether two configs agree in this key.
[[nodiscard]] bool same(const key& key, const config& a, const config& b);

/// The words of a choice.
[[nodiscard]] std::vector<std::string_view> words_of(const key& key);

} // namespace lance::config
