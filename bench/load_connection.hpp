// One blocking connection to a broker, as plain as it gets: what the load costs must be small and
// must not hide what the broker costs. One thread at a time.
#pragma once

#include <cstddef>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "bench/tls_client.hpp"
#include "runtime/bytes.hpp"
#include "wire/control.hpp"

namespace lance::bench {

/// A frame's header and all of its payload.
struct frame {
  wire::frame_header header{};
  std::vector<std::byte> payload{};
};

/// Whom to call, and how.
struct dial_plan {
  std::string address{};            ///< a numeric `ip:port`, as the ready file has it
  std::shared_ptr<tls_setup> tls{}; ///< none: plain
};

/// A connected blocking socket without Nagle's delay; gives up when nobody answers.
[[nodiscard]] int connected_socket(const std::string& address);

class load_connection {
 public:
  /// Gives up when nobody answers. Encrypted when there is a `tls`.
  explicit load_connection(const dial_plan& whom);
  ~load_connection();
  load_connection(const load_connection&) = delete;
  load_connection& operator=(const load_connection&) = delete;

  void send_all(byte_view bytes);
  /// What the socket takes at once; 0 when it is full.
  [[nodiscard]] std::size_t send_some(byte_view bytes);
  /// Blocks until there is something; at least one byte.
  [[nodiscard]] std::size_t receive(byte_span into);
  /// What is there; 0 when nothing is.
  [[nodiscard]] std::size_t receive_some(byte_span into);
  /// Blocks until all of it is there.
  void receive_all(byte_span into);
  /// Blocks until there is something to receive or room to send.
  void wait();
  /// Blocks until there is something to receive, or the steady clock shows `when`.
  void wait_until_ns(std::uint64_t when);

  /// Says good-bye on an encrypted connection and blocks until the broker has answered it.
  void finish();

  /// One request, one reply; gives up when the reply is not `expected`.
  [[nodiscard]] frame ask(wire::command code, byte_view payload, wire::command expected);

 private:
  [[nodiscard]] std::size_t receive_with(byte_span into, int flags); // 0: not now
  void wait_for(short events, const timespec* limit);

  int socket_ = -1;
  std::unique_ptr<tls_stream> tls_;
};

/// Judges a header of a reply; gives up when it is none.
[[nodiscard]] wire::frame_header judged(byte_view header);

} // namespace lance::bench
