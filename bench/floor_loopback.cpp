#include "bench/floor_loopback.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "bench/measured.hpp"

namespace lance::bench {

namespace {

void no_delay(int socket) {
  const int on = 1;
  if (::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
    give_up_errno("TCP_NODELAY");
}

// A connected pair over 127.0.0.1.
std::pair<int, int> connected_pair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof where;
  auto* address = reinterpret_cast<sockaddr*>(&where);
  if (listener < 0 || ::bind(listener, address, length) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, address, &length) != 0)
    give_up_errno("listening on loopback");
  const int one = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (one < 0 || ::connect(one, address, length) != 0)
    give_up_errno("connecting on loopback");
  const int other = ::accept(listener, nullptr, nullptr);
  if (other < 0)
    give_up_errno("accepting on loopback");
  ::close(listener);
  no_delay(one);
  no_delay(other);
  return {one, other};
}

void send_all(int socket, const std::vector<char>& data) {
  for (std::size_t at = 0; at < data.size();) {
    const auto sent = ::send(socket, data.data() + at, data.size() - at, MSG_NOSIGNAL);
    if (sent < 0)
      give_up_errno("send");
    at += static_cast<std::size_t>(sent);
  }
}

// False when the other side has closed.
bool receive_all(int socket, std::vector<char>& into) {
  for (std::size_t at = 0; at < into.size();) {
    const auto got = ::recv(socket, into.data() + at, into.size() - at, MSG_WAITALL);
    if (got < 0)
      give_up_errno("recv");
    if (got == 0)
      return false;
    at += static_cast<std::size_t>(got);
  }
  return true;
}

// Runs `other` in a process of its own on one end while `mine` runs here on the other end; when
// `mine` is done the connection closes, and `other` must end by that. Adds both CPU seconds.
nlohmann::json with_other_process(const std::function<void(int)>& other,
                                  const std::function<nlohmann::json(int)>& mine) {
  const auto [here, there] = connected_pair();
  const auto children = children_cpu_seconds();
  const auto child = ::fork();
  if (child < 0)
    give_up_errno("fork");
  if (child == 0) {
    ::close(here);
    other(there);
    ::_exit(0);
  }
  ::close(there);
  const auto own = own_cpu_seconds();
  auto json = mine(here);
  json["own_cpu_s"] = own_cpu_seconds() - own;
  ::close(here);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0)
    give_up("the other side of the loopback failed");
  json["other_cpu_s"] = children_cpu_seconds() - children;
  return json;
}

nlohmann::json rates(std::uint64_t bytes, std::uint64_t took_ns) {
  const auto seconds = static_cast<double>(took_ns) / 1e9;
  return {{"bytes", bytes},
          {"seconds", seconds},
          {"mb_per_s", static_cast<double>(bytes) / seconds / 1e6}};
}

nlohmann::json ask(int socket, const round_trip_plan& plan) {
  const std::vector<char> request(plan.request_bytes, 'q');
  std::vector<char> reply(plan.reply_bytes);
  std::vector<std::uint64_t> sent_ns(plan.in_flight);
  latencies taken;
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  const auto began = now_ns();
  const auto end = began + static_cast<std::uint64_t>(plan.seconds * 1e9);
  auto now = began;
  while (now < end || answered < sent) {
    for (; now < end && sent - answered < plan.in_flight; ++sent) {
      sent_ns[sent % plan.in_flight] = now;
      send_all(socket, request);
    }
    if (answered == sent)
      break;
    if (!receive_all(socket, reply))
      give_up("the other side of the loopback ended");
    now = now_ns();
    taken.add(now - sent_ns[answered++ % plan.in_flight]);
  }
  auto json = rates(answered * plan.reply_bytes, now - began);
  json["trip"] = taken.summary();
  return json;
}

} // namespace

nlohmann::json measure_round_trips(const round_trip_plan& plan) {
  const auto answer = [&plan](int socket) {
    std::vector<char> request(plan.request_bytes);
    const std::vector<char> reply(plan.reply_bytes, 'a');
    while (receive_all(socket, request))
      send_all(socket, reply);
  };
  return with_other_process(answer, [&plan](int socket) { return ask(socket, plan); });
}

nlohmann::json measure_bulk(const bulk_plan& plan) {
  const auto take = [&plan](int socket) {
    std::vector<char> piece(plan.piece_bytes);
    while (receive_all(socket, piece)) {
    }
  };
  return with_other_process(take, [&plan](int socket) {
    const std::vector<char> piece(plan.piece_bytes, 'b');
    std::uint64_t bytes = 0;
    const auto began = now_ns();
    const auto end = began + static_cast<std::uint64_t>(plan.seconds * 1e9);
    auto now = began;
    for (; now < end; now = now_ns()) {
      send_all(socket, piece);
      bytes += piece.size();
    }
    return rates(bytes, now - began);
  });
}

} // namespace lance::bench
