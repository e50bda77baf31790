#include "bench/load_crowd.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "bench/measured.hpp"
#include "wire/frame.hpp"

namespace lance::bench {

namespace {

constexpr int look_again_ms = 200;

// A record of 512 bytes is announced and a ClientHello begins in it.
constexpr std::array<std::uint8_t, 11> half_greeting{0x16, 0x03, 0x01, 0x02, 0x00, 0x01,
                                                     0x00, 0x01, 0xfc, 0x03, 0x03};

void say(const char* what, unsigned count) {
  std::printf("{\"%s\": %u}\n", what, count);
  std::fflush(stdout);
}

int half_open(const std::string& address) {
  const int socket = connected_socket(address);
  if (::send(socket, half_greeting.data(), half_greeting.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(half_greeting.size()))
    give_up_errno("sending half a greeting");
  return socket;
}

void keep_alive(load_connection& connection) {
  std::array<std::byte, wire::frame_header_bytes> bytes{};
  (void)wire::encode_frame(wire::keepalive_header(), wire::checksum_kind::iso_hdlc, {}, bytes);
  connection.send_all(bytes);
  connection.receive_all(bytes);
  if (wire::classify(judged(bytes)) != wire::frame_kind::keepalive)
    give_up("a keepalive was answered by something else");
}

// The broker puts who dawdles out after its deadline: others take their places.
void replace_closed(const std::string& address, std::vector<pollfd>& halves) {
  for (auto& each : halves) {
    if (each.fd < 0 || each.revents == 0)
      continue;
    ::close(each.fd);
    each = {half_open(address), POLLIN, 0};
  }
}

} // namespace

void hold_crowd(const dial_plan& server, const crowd_plan& plan) {
  std::vector<std::unique_ptr<load_connection>> idle;
  for (unsigned i = 0; i < plan.idle; ++i) {
    idle.push_back(std::make_unique<load_connection>(server));
    keep_alive(*idle.back());
  }
  say("idle", plan.idle);
  if (std::getchar() == EOF)
    return;
  std::vector<pollfd> watched{{STDIN_FILENO, POLLIN, 0}};
  std::vector<pollfd> halves;
  for (unsigned i = 0; i < plan.half; ++i)
    halves.push_back({half_open(server.address), POLLIN, 0});
  say("half", plan.half);
  while (::poll(watched.data(), 1, look_again_ms) == 0) {
    if (::poll(halves.data(), halves.size(), 0) < 0 && errno != EINTR)
      give_up_errno("poll");
    replace_closed(server.address, halves);
  }
  std::byte one{};
  for (auto& each : idle)
    if (each->receive_some({&one, 1}) != 0)
      give_up("an idle connection got something unasked");
}

} // namespace lance::bench
