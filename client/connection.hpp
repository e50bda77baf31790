// TCP to a server: the only file of this folder that knows sockets. What comes out is a transport;
// frames are cut from it by a channel (channel.hpp).
#pragma once

#include <memory>

#include "client/deadline.hpp"
#include "client/endpoint.hpp"
#include "client/failure.hpp"
#include "client/transport.hpp"

namespace lance::client {

/// Connects to the first of the host's addresses that accepts, with TCP_NODELAY and the kernel's
/// keepalive (a peer that vanished without a word is noticed within about a minute). Blocks until
/// the deadline at most, but for the resolver, which has time-outs of its own. Any thread.
[[nodiscard]] outcome<std::unique_ptr<transport>> dial(const endpoint& where, deadline until);

/// A connected stream socket as a transport, which closes it. Made non-blocking.
[[nodiscard]] std::unique_ptr<transport> adopt_socket(int descriptor);

} // namespace lance::client
