// TLS on a socket by bare OpenSSL, for the load and for the floor beside it: nothing of the
// broker's own TLS is in it. No session is ever resumed. One thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "runtime/bytes.hpp"

namespace lance::bench {

/// What an end shows and whom it believes; the streams made from it keep it alive.
class tls_setup {
 public:
  /// Believes what the authorities in the PEM file `ca` have signed.
  [[nodiscard]] static tls_setup client(const std::string& ca);
  /// Shows the chain and key of these PEM files and asks for nothing.
  [[nodiscard]] static tls_setup server(const std::string& cert, const std::string& key);

 private:
  friend class tls_stream;
  explicit tls_setup(std::shared_ptr<void> context) : context_(std::move(context)) {}
  std::shared_ptr<void> context_;
};

/// One end on a connected socket, which stays the caller's and is not blocking afterwards. Gives up
/// on every failure.
class tls_stream {
 public:
  enum class side { client, server };
  tls_stream(const tls_setup& setup, int socket, side which);
  ~tls_stream();
  tls_stream(const tls_stream&) = delete;
  tls_stream& operator=(const tls_stream&) = delete;

  /// Blocks until the handshake is over.
  void shake_hands();
  /// What the socket takes now; 0 when it is full: then call again with the same bytes in front.
  [[nodiscard]] std::size_t send_some(byte_view bytes);
  /// What is there; 0 when nothing is.
  [[nodiscard]] std::size_t receive_some(byte_span into);
  /// Tells the peer that nothing more comes.
  void say_good_bye();
  /// Blocks until the peer says so; gives up when it says anything else.
  void await_good_bye();
  /// Decrypted bytes wait that poll() on the socket does not see.
  [[nodiscard]] bool holds_plaintext() const noexcept;

 private:
  struct machine;
  std::unique_ptr<machine> machine_;
};

} // namespace lance::bench
