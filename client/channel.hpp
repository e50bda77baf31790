// One connection's frames: requests go out, replies come back in the order of the requests, one
// each (lwp.md, rule 2). Either call() one at a time, or post() several and receive() as many.
//
// Owned by one thread at a time. After any failure but a deadline that passed in receive() the
// connection's state is unknown: throw the channel away.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/failure.hpp"
#include "client/transport.hpp"
#include "wire/batch_commands.hpp"
#include "wire/control.hpp"
#include "wire/frame.hpp"

namespace lance::client {

/// A reply. `payload` lives until the next receive on its channel.
struct reply_frame {
  wire::frame_header header;
  byte_view payload;

  [[nodiscard]] wire::frame_kind kind() const noexcept { return wire::classify(header); }
  [[nodiscard]] bool is(wire::command code) const noexcept {
    return kind() == wire::frame_kind::control && wire::command_of(header) == code;
  }
};

class channel {
 public:
  /// `node` names the server in failures.
  channel(std::unique_ptr<transport> line, std::string node);

  // --- whole requests ----------------------------------------------------------------------------

  /// Sends one frame and waits until the kernel has all of it. Reads nothing: the last reply's
  /// payload stays, and who posts more than the kernel's buffers hold must receive in between.
  /// Blocks.
  [[nodiscard]] outcome<> post(const wire::frame_header& header, byte_view payload, deadline until);
  /// The next reply. errc::timed_out leaves the channel usable: the reply may still come. Blocks.
  [[nodiscard]] outcome<reply_frame> receive(deadline until);
  /// post() and receive(); nothing else is in flight. Blocks.
  [[nodiscard]] outcome<reply_frame> call(const wire::frame_header& header, byte_view payload,
                                          deadline until);

  /// Asks for a sign of life (a Keepalive frame); nothing else is in flight. Blocks.
  [[nodiscard]] outcome<> ping(deadline until);

  // --- pieces, for who runs a loop of its own ----------------------------------------------------

  /// The next reply that is there already; nothing when more bytes are needed. Does not block.
  [[nodiscard]] outcome<std::optional<reply_frame>> try_receive();
  /// Whether the server has hung up, or spoken though nothing was asked. Does not block; nothing is
  /// in flight.
  [[nodiscard]] bool stale();
  [[nodiscard]] transport& line() noexcept { return *line_; }

  [[nodiscard]] const std::string& node() const noexcept { return node_; }
  [[nodiscard]] wire::checksum_kind kind() const noexcept { return wire::checksum_kind::iso_hdlc; }
  [[nodiscard]] tl::unexpected<failure> lost(const error& what, std::string_view deed) const {
    return tl::unexpected{network_failure(what, deed, node_)};
  }

 private:
  [[nodiscard]] result<bool> read_some(); ///< false: nothing was there
  void make_room(std::size_t wanted);
  [[nodiscard]] byte_view unread() const noexcept {
    return byte_view{buffer_}.subspan(begin_, end_ - begin_);
  }

  std::unique_ptr<transport> line_;
  std::string node_;
  wire::frame_cutter cutter_;
  std::vector<std::byte> buffer_; ///< received bytes are [begin_, end_)
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t wanted_ = wire::frame_header_bytes; ///< of the frame at begin_
};

} // namespace lance::client
