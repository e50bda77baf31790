// What a full TLS handshake costs a server that does nothing else.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace lance::bench {

struct handshake_plan {
  std::string cert{}; ///< PEM, of the server
  std::string key{};  ///< PEM, of the server
  std::string ca{};   ///< PEM, that the client believes
  unsigned count = 1000;
};

/// Connections over loopback, one after the other: accepted, handshake by bare OpenSSL, closed.
/// handshakes, seconds, and the CPU seconds of the server (server_cpu_s) and of the client.
[[nodiscard]] nlohmann::json measure_handshakes(const handshake_plan& plan);

} // namespace lance::bench
