// One run of `lnc`: from words to an exit code.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/cli/commands.hpp"

namespace lance::client::cli {

/// `words` without the program's name. `offline` are the commands that need no server, which this
/// library does not know. Reads the environment variable LANCE_SERVER.
[[nodiscard]] exit_code run(std::vector<std::string> words, console& io,
                            std::span<const add_command> offline = {});

} // namespace lance::client::cli
