// TLS to a server: an encrypted stream in the place of a plain one. What it needs of OpenSSL it
// gets from runtime/tls; nothing of that shows in this header but the files' names.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/deadline.hpp"
#include "client/endpoint.hpp"
#include "client/failure.hpp"
#include "client/transport.hpp"

namespace lance::client {

/// Whom a client believes, and who it is.
struct tls_options {
  std::string ca = {};   ///< path of the authorities, PEM; empty: those of the system
  std::string cert = {}; ///< path of the own certificate chain, PEM; empty: none is shown
  std::string key = {};  ///< path of its private key, PEM
  std::string server_name =
      {}; ///< the name the server's certificate bears; empty: the host dialled
};

/// Connects a plain stream, then shakes hands on it within the same deadline. Files that have
/// changed since the last connection are read anew; the newest ticket of the server shortens the
/// next handshake. Copies share all that; any thread. Failures: not_authenticated (the server is
/// not whom we believe, or does not believe us; not retriable), bad_config (the files), and those
/// of `plain`.
[[nodiscard]] std::function<outcome<std::unique_ptr<transport>>(const endpoint&, deadline)>
secure_dialer(tls_options options,
              std::function<outcome<std::unique_ptr<transport>>(const endpoint&, deadline)> plain);

} // namespace lance::client
