// The operator's side: health and administration on one port, Prometheus text on another. What is
// answered is decided in http_answers; here are the sockets and threads, which civetweb has. Only
// http.cpp knows it.
//
// It has its own few threads and touches nothing of the record path. Whatever a client does is
// bounded: 16 KiB of request head, a connection waits two seconds at most for the next bytes of
// a request and is closed after ten, no more than a few wait, and no file is ever served.
#pragma once

#include <memory>
#include <string>

#include "actors/health.hpp"
#include "actors/http_answers.hpp"
#include "runtime/result.hpp"

namespace lance::actors {

/// "host:port", an IPv4 address or a name that has one; port 0 lets the kernel choose. An empty
/// address leaves that port closed.
struct http_addresses {
  std::string health;
  std::string metrics;
};

class http_server {
 public:
  /// The ports are open on return. `state`, and what the providers look at, must outlive the
  /// server. On an error `explanation` is a sentence for the operator. Errors: bad_config (an
  /// address that cannot be read or resolved), io_failed with errno (e.g. EADDRINUSE; 0 when the
  /// threads could not be started). Blocks for the lookup of a name.
  static result<std::unique_ptr<http_server>> start(const http_addresses& addresses, health& state,
                                                    http_providers providers,
                                                    std::string& explanation);

  /// Closes both ports and waits for the threads; a reply under way is cut off. A few milliseconds
  /// as a rule, up to two seconds a port when a client is in the middle of its request.
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// As bound, with the port the kernel chose, e.g. "127.0.0.1:41234"; empty when not asked for.
  [[nodiscard]] std::string health_address() const;
  [[nodiscard]] std::string metrics_address() const;

 private:
  class port;

  http_server(health& state, http_providers providers);

  health& state_;
  const http_providers providers_;
  std::unique_ptr<port> health_port_;
  std::unique_ptr<port> metrics_port_;
};

} // namespace lance::actors
