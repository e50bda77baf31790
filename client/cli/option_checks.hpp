// Options with units, checked where the words are read. The text is parsed again by the command.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>

namespace lance::client::cli {

[[nodiscard]] CLI::Validator is_bytes();
[[nodiscard]] CLI::Validator is_duration();
[[nodiscard]] CLI::Validator is_start();
[[nodiscard]] CLI::Validator is_topic_name();

/// `--topic`, required.
CLI::Option* add_topic_option(CLI::App& app, std::string& to);

} // namespace lance::client::cli
