// What every command of `lnc` gets: the global options, the console, and how to end.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "client/cli/console.hpp"
#include "client/cli/exit_code.hpp"
#include "client/connector.hpp"
#include "client/secure_transport.hpp"

namespace lance::client::cli {

struct context {
  console& io;

  // The global options, filled before `action` runs.
  std::string servers = "127.0.0.1:1992";
  std::string timeout = "30s";
  bool tls = false; ///< encrypted, even where nothing below is given
  tls_options security = {};
  std::string token_file = {};
  std::string token = {}; ///< what that file holds
  bool json = false;
  bool quiet = false;

  /// What the command line asks for; set by the command that was named.
  std::function<exit_code()> action = nullptr;

  /// Servers and time-outs as the global options say. The options have been checked.
  [[nodiscard]] connection_options connection() const;
  [[nodiscard]] std::chrono::nanoseconds patience() const;

  /// One line on stderr, with `lnc: ` in front.
  void complain(std::string_view text) const;
  /// The same, unless --quiet.
  void notice(std::string_view text) const;
  /// Tells the failure, and says how to end.
  [[nodiscard]] exit_code give_up(const failure& what) const;
  /// A wrong word that only the command itself could find.
  [[nodiscard]] exit_code wrong_usage(std::string_view text) const;
};

} // namespace lance::client::cli
