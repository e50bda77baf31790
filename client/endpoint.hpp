// Where a server listens, to and from text. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/failure.hpp"

namespace lance::client {

inline constexpr std::uint16_t default_port = 1992;
/// Longer lists are configuration mistakes; a cluster has nine voters at most.
inline constexpr std::size_t endpoints_max = 64;

struct endpoint {
  std::string host; ///< name or address, IPv6 without brackets
  std::uint16_t port = default_port;
  friend bool operator==(const endpoint&, const endpoint&) = default;
};

/// `host:port`, `host`, `[v6]:port` or `[v6]`. Errors: invalid_request.
[[nodiscard]] outcome<endpoint> parse_endpoint(std::string_view text);
/// One or more of them, separated by commas.
[[nodiscard]] outcome<std::vector<endpoint>> parse_endpoints(std::string_view text);
[[nodiscard]] std::string to_text(const endpoint& where);

} // namespace lance::client
