#include "client/cli/context.hpp"

#include <algorithm>

#include "client/cli/units.hpp"
#include "runtime/check.hpp"

namespace lance::client::cli {

std::chrono::nanoseconds context::patience() const {
  const auto ns = parse_duration_ns(timeout);
  LANCE_CHECK(ns.has_value());
  return std::chrono::nanoseconds{static_cast<std::int64_t>(*ns)};
}

connection_options context::connection() const {
  const auto parsed = parse_endpoints(servers);
  LANCE_CHECK(parsed.has_value());
  connection_options options;
  options.servers = *parsed;
  options.request_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(patience());
  options.connect_timeout = std::min(options.connect_timeout, options.request_timeout);
  options.token = token;
  const bool encrypted = tls || !security.ca.empty() || !security.cert.empty() ||
                         !security.key.empty() || !security.server_name.empty();
  if (encrypted)
    options.dial = secure_dialer(security, options.dial);
  return options;
}

void context::complain(std::string_view text) const {
  io.out.flush(); // on a terminal the data comes first
  io.errors.put("lnc: ");
  io.errors.put(text);
  io.errors.put("\n");
  io.errors.flush();
}

void context::notice(std::string_view text) const {
  if (!quiet)
    complain(text);
}

exit_code context::give_up(const failure& what) const {
  complain(to_text(what));
  return exit_code_of(what);
}

exit_code context::wrong_usage(std::string_view text) const {
  complain(text);
  return exit_code::usage;
}

} // namespace lance::client::cli
