#include "actors/listener.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lance::actors {

namespace {

std::string bound_address(int descriptor) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "";
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {};
  const std::string name{host};
  return (name.find(':') != std::string::npos ? "[" + name + "]" : name) + ":" + port;
}

constexpr std::chrono::seconds taken_patience{3};
constexpr std::chrono::milliseconds look_again{20};

result<int> listen_there(const addrinfo& where, bool share_port) {
  const int descriptor =
      ::socket(where.ai_family, where.ai_socktype | SOCK_CLOEXEC, where.ai_protocol);
  if (descriptor < 0)
    return fail(errc::io_failed, errno);
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (share_port)
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (::bind(descriptor, where.ai_addr, where.ai_addrlen) == 0 &&
      ::listen(descriptor, listen_backlog) == 0)
    return descriptor;
  const int error = errno;
  ::close(descriptor);
  return fail(errc::io_failed, error);
}

} // namespace

result<listening_socket> listen_on(const std::string& address, bool share_port,
                                   std::string& explanation) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) {
    explanation = "'" + address + "' is not an address: write host:port";
    return fail(errc::bad_config);
  }
  auto host = address.substr(0, colon);
  const auto port = address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  if (const int error =
          ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &raw);
      error != 0) {
    explanation = "'" + address + "' cannot be resolved: " + ::gai_strerror(error);
    return fail(errc::bad_config);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found{raw, &::freeaddrinfo};
  const auto until = std::chrono::steady_clock::now() + taken_patience;
  for (;;) {
    const auto descriptor = listen_there(*found, share_port);
    if (descriptor)
      return listening_socket{*descriptor, bound_address(*descriptor)};
    const int error = descriptor.error().system;
    if (error == EADDRINUSE && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(look_again);
      continue;
    }
    explanation =
        "cannot listen on " + address + ": " + std::strerror(error) +
        (error == EADDRINUSE ? " (is another broker running? port 0 takes a free one)" : "");
    return fail(errc::io_failed, error);
  }
}

} // namespace lance::actors
