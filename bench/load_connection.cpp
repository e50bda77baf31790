#include "bench/load_connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>

#include "bench/measured.hpp"
#include "wire/frame.hpp"

namespace lance::bench {

namespace {

sockaddr_in parsed(const std::string& address) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  const auto colon = address.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string::npos)
    std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  if (port == 0 || ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &where.sin_addr) != 1)
    give_up("not a numeric ip:port: " + address);
  where.sin_port = htons(port);
  return where;
}

} // namespace

load_connection::load_connection(const std::string& address) {
  const auto where = parsed(address);
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0 ||
      ::connect(socket_, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
    give_up_errno("connecting to " + address);
  const int on = 1;
  if (::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
    give_up_errno("TCP_NODELAY");
}

load_connection::~load_connection() {
  ::close(socket_);
}

void load_connection::send_all(byte_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR)
      give_up_errno("send");
    if (sent > 0)
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

std::size_t load_connection::send_some(byte_view bytes) {
  const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EINTR && errno != EAGAIN)
    give_up_errno("send");
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

std::size_t load_connection::receive_with(byte_span into, int flags) {
  const auto got = ::recv(socket_, into.data(), into.size(), flags);
  if (got == 0)
    give_up("the broker closed the connection");
  if (got < 0 && errno != EINTR && errno != EAGAIN)
    give_up_errno("recv");
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

std::size_t load_connection::receive(byte_span into) {
  std::size_t got = 0;
  while (got == 0)
    got = receive_with(into, 0);
  return got;
}

std::size_t load_connection::receive_some(byte_span into) {
  return receive_with(into, MSG_DONTWAIT);
}

void load_connection::receive_all(byte_span into) {
  while (!into.empty())
    into = into.subspan(receive_with(into, MSG_WAITALL));
}

void load_connection::wait() {
  pollfd events{socket_, POLLIN | POLLOUT, 0};
  if (::poll(&events, 1, -1) < 0 && errno != EINTR)
    give_up_errno("poll");
}

void load_connection::wait_until_ns(std::uint64_t when) {
  const auto now = now_ns();
  const auto left = when - std::min(now, when);
  const timespec limit{static_cast<time_t>(left / 1'000'000'000),
                       static_cast<long>(left % 1'000'000'000)};
  pollfd events{socket_, POLLIN, 0};
  if (::ppoll(&events, 1, &limit, nullptr) < 0 && errno != EINTR)
    give_up_errno("ppoll");
}

frame load_connection::ask(wire::command code, byte_view payload, wire::command expected) {
  std::vector<std::byte> request(wire::frame_header_bytes + payload.size());
  (void)wire::encode_frame(wire::control_header(code), wire::checksum_kind::iso_hdlc, payload,
                           request);
  send_all(request);
  std::array<std::byte, wire::frame_header_bytes> head{};
  receive_all(head);
  frame reply;
  reply.header = judged(head);
  reply.payload.resize(reply.header.payload_length);
  receive_all(reply.payload);
  if (wire::classify(reply.header) != wire::frame_kind::control ||
      wire::command_of(reply.header) != expected)
    give_up("unexpected reply: " + std::string{as_text(reply.payload)});
  return reply;
}

wire::frame_header judged(byte_view header) {
  const auto found =
      wire::judge_header(header, wire::checksum_kind::iso_hdlc, wire::reply_payload_bytes_max);
  if (found.outcome != wire::verdict::ok)
    give_up("the broker sent bytes that are no frame");
  return found.header;
}

} // namespace lance::bench
