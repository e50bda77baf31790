#include "client/endpoint.hpp"

#include <algorithm>
#include <charconv>

namespace lance::client {

namespace {

tl::unexpected<failure> malformed(std::string_view text) {
  return refuse(errc::invalid_request,
                "'" + std::string{text} + "' is not a server address (host:port)");
}

bool parse_port(std::string_view text, std::uint16_t& port) noexcept {
  const auto* end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, port);
  return fault == std::errc{} && stop == end && port != 0;
}

// Brackets are the notation's, and what does not print is no name: the resolver, which takes a name
// up to its first zero byte, would ask for another.
bool possible_host(std::string_view text) noexcept {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= ' ' || byte == 0x7f || c == '/' || c == '[' || c == ']';
  });
}

} // namespace

outcome<endpoint> parse_endpoint(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos)
      return malformed(text);
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
  } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
    if (host.find(':') != std::string_view::npos) // an IPv6 address without brackets
      return malformed(text);
  }
  endpoint where{std::string{host}, default_port};
  if (!possible_host(host))
    return malformed(text);
  if (!port.empty() && (port.front() != ':' || !parse_port(port.substr(1), where.port)))
    return malformed(text);
  return where;
}

outcome<std::vector<endpoint>> parse_endpoints(std::string_view text) {
  std::vector<endpoint> all;
  while (true) {
    const auto comma = text.find(',');
    auto one = parse_endpoint(text.substr(0, comma));
    if (!one)
      return tl::unexpected{one.error()};
    if (all.size() == endpoints_max)
      return refuse(errc::invalid_request, "too many server addresses");
    all.push_back(std::move(*one));
    if (comma == std::string_view::npos)
      return all;
    text.remove_prefix(comma + 1);
  }
}

std::string to_text(const endpoint& where) {
  const bool v6 = where.host.find(':') != std::string::npos;
  return (v6 ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

} // namespace lance::client
