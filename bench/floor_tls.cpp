#include "bench/floor_tls.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <memory>

#include "bench/load_connection.hpp"
#include "bench/measured.hpp"
#include "bench/tls_client.hpp"

namespace lance::bench {

namespace {

constexpr int backlog = 16;

// Accepts, shakes hands, answers the good-bye, closes: what any server must do.
void serve(int listener, const handshake_plan& plan) {
  const auto setup = tls_setup::server(plan.cert, plan.key);
  for (unsigned i = 0; i < plan.count; ++i) {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0)
      give_up_errno("accept");
    tls_stream stream(setup, socket, tls_stream::side::server);
    stream.shake_hands();
    stream.await_good_bye();
    stream.say_good_bye();
    ::close(socket);
  }
}

} // namespace

nlohmann::json measure_handshakes(const handshake_plan& plan) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof where;
  auto* address = reinterpret_cast<sockaddr*>(&where);
  if (listener < 0 || ::bind(listener, address, length) != 0 || ::listen(listener, backlog) != 0 ||
      ::getsockname(listener, address, &length) != 0)
    give_up_errno("listening on loopback");
  const auto children = children_cpu_seconds();
  const auto child = ::fork();
  if (child < 0)
    give_up_errno("fork");
  if (child == 0) {
    serve(listener, plan);
    ::_exit(0);
  }
  ::close(listener);
  const dial_plan whom{"127.0.0.1:" + std::to_string(ntohs(where.sin_port)),
                       std::make_shared<tls_setup>(tls_setup::client(plan.ca))};
  const auto own = own_cpu_seconds();
  const auto began = now_ns();
  for (unsigned i = 0; i < plan.count; ++i) {
    load_connection one(whom);
    one.finish();
  }
  const auto seconds = static_cast<double>(now_ns() - began) / 1e9;
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0)
    give_up("the server of the handshakes failed");
  return {{"handshakes", plan.count},
          {"seconds", seconds},
          {"server_cpu_s", children_cpu_seconds() - children},
          {"client_cpu_s", own_cpu_seconds() - own}};
}

} // namespace lance::bench
