// The door to the network: bytes to and from one server. Forms: a TCP socket (connection.hpp), and
// whatever a test or an encrypted stream puts in its place.
//
// One thread at a time. Nothing here blocks but wait().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "client/deadline.hpp"
#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::client {

/// What is waited for.
enum class interest : std::uint8_t { receive, send, both };

/// What wait() came back for. Nothing set: the deadline has passed.
struct readiness {
  bool receive = false;
  bool send = false;
  bool woken = false;
};

class transport {
 public:
  virtual ~transport() = default;

  /// Sends from the front of the parts, in order, what is taken without waiting; returns how many
  /// bytes that was, perhaps 0. Errors: closed, io_failed.
  [[nodiscard]] virtual result<std::size_t> send(std::span<const byte_view> parts) = 0;

  /// Receives what is there without waiting, at most `into`; 0 when nothing is. Errors: closed (the
  /// server is done with us), io_failed.
  [[nodiscard]] virtual result<std::size_t> receive(byte_span into) = 0;

  /// Waits until one of the deeds asked for can go on, until `wake` (a descriptor, or -1) is
  /// readable, or until the deadline. A signal may end it early with nothing set. Errors:
  /// io_failed.
  [[nodiscard]] virtual result<readiness> wait(interest in, deadline until, int wake = -1) = 0;
};

} // namespace lance::client
