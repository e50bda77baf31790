// From file, environment and flags to config: everything that is wrong is said at once, with its
// place and what to do about it. load.cpp is the only file that knows toml++.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.hpp"

namespace lance::config {

enum class source : std::uint8_t { preset, file, environment, flag };

/// Where a value came from.
struct origin {
  source from = source::preset;
  unsigned line = 0; ///< of the file
  std::string name;  ///< the file's path, the variable's or the flag's name

  /// "default", "lance.toml:12", "LANCE_NODE_ID" or "--node-id".
  [[nodiscard]] std::string place() const;
};

struct load_request {
  std::string file; ///< path of a TOML file; empty: none
  /// All variables of the process, "NAME", "value"; those that do not begin with LANCE_ are
  /// skipped.
  std::vector<std::pair<std::string, std::string>> environment;
  /// Path of the key ("node.id") and text of each flag that was given; key::flag names them.
  std::vector<std::pair<std::string, std::string>> flags;
};

/// The answer: the values, and everything there is to say about them.
struct loaded {
  config values;                    ///< complete in any case; to be used only when errors is empty
  std::vector<std::string> errors;  ///< sentences; each begins with its place
  std::vector<std::string> notices; ///< sentences: accepted, but worth knowing
  std::vector<origin> origins;      ///< one for each key, in the order of keys()

  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
};

/// Reads and judges. A file that cannot be read is an error like any other. Main thread.
[[nodiscard]] loaded load(const load_request& request);

/// The same for the text of a file; `name` stands in messages.
[[nodiscard]] loaded load_text(std::string_view toml, const std::string& name,
                               const load_request& rest = {});

/// The environment of this process in the form load_request wants.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> process_environment();

} // namespace lance::config
