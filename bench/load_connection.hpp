// One blocking connection to a broker, as plain as it gets: what the load costs must be small and
// must not hide what the broker costs. One thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/bytes.hpp"
#include "wire/control.hpp"

namespace lance::bench {

/// A frame's header and all of its payload.
struct frame {
  wire::frame_header header{};
  std::vector<std::byte> payload{};
};

class load_connection {
 public:
  /// `address` is a numeric `ip:port`, as the ready file has it. Gives up when nobody answers.
  explicit load_connection(const std::string& address);
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

  /// One request, one reply; gives up when the reply is not `expected`.
  [[nodiscard]] frame ask(wire::command code, byte_view payload, wire::command expected);

 private:
  [[nodiscard]] std::size_t receive_with(byte_span into, int flags); // 0: not now

  int socket_ = -1;
};

/// Judges a header of a reply; gives up when it is none.
[[nodiscard]] wire::frame_header judged(byte_view header);

} // namespace lance::bench
