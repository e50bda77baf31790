#include "client/connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/types.hpp"

namespace lance::client {

namespace {

// Gathered in one system call; more parts wait for the next.
constexpr std::size_t parts_max = 64;

bool would_block(int number) noexcept {
  return number == EAGAIN || number == EWOULDBLOCK || number == EINTR;
}

timespec to_timespec(std::uint64_t ns) noexcept {
  constexpr std::uint64_t longest = 3600 * s_in_ns; // callers look again after an hour
  const auto bounded = std::min(ns, longest);
  return {static_cast<time_t>(bounded / s_in_ns), static_cast<long>(bounded % s_in_ns)};
}

class socket_transport final : public transport {
 public:
  explicit socket_transport(int descriptor) noexcept : fd_(descriptor) {}
  ~socket_transport() override { ::close(fd_); }
  socket_transport(const socket_transport&) = delete;
  socket_transport& operator=(const socket_transport&) = delete;

  result<std::size_t> send(std::span<const byte_view> parts) override {
    std::array<iovec, parts_max> vectors;
    std::size_t count = 0;
    for (const auto& part : parts.first(std::min(parts.size(), parts_max)))
      vectors[count++] = {const_cast<std::byte*>(part.data()), part.size()};
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const auto sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
      return static_cast<std::size_t>(sent);
    return would_block(errno) ? result<std::size_t>{0} : lost(errno);
  }

  result<std::size_t> receive(byte_span into) override {
    const auto got = ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0)
      return static_cast<std::size_t>(got);
    if (got == 0)
      return fail(errc::closed);
    return would_block(errno) ? result<std::size_t>{0} : lost(errno);
  }

  result<readiness> wait(interest in, deadline until, int wake) override {
    const auto events = events_of(in);
    std::array<pollfd, 2> watched{{{fd_, events, 0}, {wake, POLLIN, 0}}};
    const auto span = to_timespec(until.left_ns());
    const auto count = ::ppoll(watched.data(), wake >= 0 ? 2 : 1, &span, nullptr);
    if (count < 0)
      return errno == EINTR ? result<readiness>{readiness{}} : fail(errc::io_failed, errno);
    // Errors and hang-ups are told by the deed that follows.
    const auto got = watched[0].revents;
    return readiness{(got & (POLLIN | POLLERR | POLLHUP)) != 0,
                     (got & (POLLOUT | POLLERR | POLLHUP)) != 0, watched[1].revents != 0};
  }

 private:
  static short events_of(interest in) noexcept {
    if (in == interest::both)
      return POLLIN | POLLOUT;
    return in == interest::send ? POLLOUT : POLLIN;
  }
  static tl::unexpected<error> lost(int number) noexcept {
    if (number == ECONNRESET || number == EPIPE)
      return fail(errc::closed, number);
    return fail(errc::io_failed, number);
  }

  int fd_;
};

void set_option(int fd, int level, int name, int value) noexcept {
  // Failing to set one makes a connection slower to notice things, not wrong.
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

void tune(int fd) noexcept {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30); // seconds, well below what middle boxes forget
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

// Waits until a connect under way is over.
result<> finish_connect(int fd, deadline until) {
  while (true) {
    pollfd watched{fd, POLLOUT, 0};
    const auto span = to_timespec(until.left_ns());
    const auto count = ::ppoll(&watched, 1, &span, nullptr);
    if (count < 0 && errno != EINTR)
      return fail(errc::io_failed, errno);
    if (count > 0)
      break;
    if (until.passed())
      return fail(errc::timed_out);
  }
  int number = 0;
  socklen_t size = sizeof number;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
    number = errno;
  if (number != 0)
    return fail(errc::io_failed, number);
  return {};
}

result<std::unique_ptr<transport>> dial_address(const addrinfo& address, deadline until) {
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail(errc::io_failed, errno);
  std::unique_ptr<transport> owned = std::make_unique<socket_transport>(fd);
  tune(fd);
  if (::connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS)
      return fail(errc::io_failed, errno);
    if (auto done = finish_connect(fd, until); !done)
      return tl::unexpected{done.error()};
  }
  return owned;
}

struct free_addresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

} // namespace

outcome<std::unique_ptr<transport>> dial(const endpoint& where, deadline until) {
  const auto node = to_text(where);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const auto fault =
      ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
  if (fault != 0)
    return refuse(errc::io_failed, std::string{"looking up the host: "} + ::gai_strerror(fault),
                  node);
  const std::unique_ptr<addrinfo, free_addresses> addresses{found};

  error last{errc::timed_out, 0};
  for (const auto* address = found; address != nullptr; address = address->ai_next) {
    auto connected = dial_address(*address, until);
    if (connected)
      return std::move(*connected);
    last = connected.error();
    if (until.passed())
      break;
  }
  return tl::unexpected{network_failure(last, "connecting", node)};
}

std::unique_ptr<transport> adopt_socket(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  static_cast<void>(::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK));
  return std::make_unique<socket_transport>(descriptor);
}

} // namespace lance::client
