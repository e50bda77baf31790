// A listening TCP socket for an address of the configuration. Blocks for name lookups; main thread.
#pragma once

#include <string>

#include "runtime/result.hpp"

namespace lance::actors {

/// Connections that wait to be accepted: a burst of a thousand clients must not be turned away.
inline constexpr int listen_backlog = 1024;

struct listening_socket {
  int descriptor = -1;
  std::string address; ///< as bound: "127.0.0.1:41234", "[::1]:1992"
};

/// `address`: "host:port"; port 0 lets the kernel choose. `share_port` allows one such socket per
/// network lane. A taken port is tried again for 3 s: the kernel gives the sockets of a killed
/// broker back some time after it. Errors: bad_config (cannot be read or resolved), io_failed with
/// errno.
result<listening_socket> listen_on(const std::string& address, bool share_port,
                                   std::string& explanation);

} // namespace lance::actors
