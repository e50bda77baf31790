// The configuration as text for people.
#pragma once

#include <string>

#include "config/load.hpp"

namespace lance::config {

/// A commented file with every key and its default. It loads as it is and changes nothing;
/// config/lance.toml is this text.
[[nodiscard]] std::string gen_config();

/// The effective values, each with its origin, as TOML that could be loaded again.
[[nodiscard]] std::string print_config(const loaded& loaded);

} // namespace lance::config
