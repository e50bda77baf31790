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

int connected_socket(const std::string& address) {
  const auto where = parsed(address);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0 || ::connect(socket, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
    give_up_errno("connecting to " + address);
  const int on = 1;
  if (::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
    give_up_errno("TCP_NODELAY");
  return socket;
}

load_connection::load_connection(const dial_plan& whom) : socket_(connected_socket(whom.address)) {
  if (!whom.tls)
    return;
  tls_ = std::make_unique<tls_stream>(*whom.tls, socket_, tls_stream::side::client);
  tls_->shake_hands();
}

load_connection::~load_connection() {
  ::close(socket_);
}

void load_connection::send_all(byte_view bytes) {
  for (;;) {
    bytes = bytes.subspan(send_some(bytes));
    if (bytes.empty())
      return;
    wait_for(POLLOUT, nullptr);
  }
}

std::size_t load_connection::send_some(byte_view bytes) {
  if (tls_)
    return tls_->send_some(bytes);
  const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EINTR && errno != EAGAIN)
    give_up_errno("send");
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

std::size_t load_connection::receive_with(byte_span into, int flags) {
  if (tls_) {
    const auto got = tls_->receive_some(into);
    if (got == 0 && (flags & MSG_DONTWAIT) == 0)
      wait_for(POLLIN, nullptr);
    return got;
  }
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

void load_connection::wait_for(short events, const timespec* limit) {
  if ((events & POLLIN) != 0 && tls_ && tls_->holds_plaintext())
    return;
  pollfd entry{socket_, events, 0};
  if (::ppoll(&entry, 1, limit, nullptr) < 0 && errno != EINTR)
    give_up_errno("ppoll");
}

void load_connection::wait() {
  wait_for(POLLIN | POLLOUT, nullptr);
}

void load_connection::wait_until_ns(std::uint64_t when) {
  const auto now = now_ns();
  const auto left = when - std::min(now, when);
  const timespec limit{static_cast<time_t>(left / 1'000'000'000),
                       static_cast<long>(left % 1'000'000'000)};
  wait_for(POLLIN, &limit);
}

void load_connection::finish() {
  tls_->say_good_bye();
  tls_->await_good_bye();
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
