// TLS between a socket and its session, on the network lane, without a further thread: to the
// socket it is a stream, to the session a socket. Ciphertext is decrypted from the buffer it was
// received in into a pooled one, which the session treats as if the kernel had filled it; replies
// are encrypted from where they lie into a pooled one.
//
// Owned by its session's host; used for one connection at a time, and again for the next.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "runtime/reactor.hpp"
#include "runtime/tls.hpp"

namespace lance::actors {

/// What the network actor does for its encrypted streams. Its thread.
class secure_host {
 public:
  /// A buffer for plaintext, or for ciphertext on its way out; empty when the pool is dry: wants()
  /// follows, and resume() when one may have returned.
  virtual runtime::buffer_ref plain_buffer() = 0;
  virtual runtime::buffer_ref cipher_buffer() = 0;
  virtual void wants(class secure_stream& which) = 0;
  /// resume() is called as soon as the lane comes round.
  virtual void again(class secure_stream& which) = 0;
  /// The handshake is over, `ns` after the connection was accepted.
  virtual void secured(class secure_stream& which, std::uint64_t ns) = 0;
  /// The stream failed; the session hears receive_ended() after this.
  virtual void insecure(class secure_stream& which, runtime::tls_fault why) = 0;
  [[nodiscard]] virtual std::uint64_t now_ns() const = 0;

 protected:
  ~secure_host() = default;
};

class secure_stream final : public runtime::stream, public runtime::socket_handle {
 public:
  explicit secure_stream(secure_host& host) : host_(host) {}
  secure_stream(const secure_stream&) = delete;
  secure_stream& operator=(const secure_stream&) = delete;

  /// Takes over a connected socket for `owner`, who treats what is returned as the socket. Errors:
  /// internal (out of memory); the socket is the caller's then.
  [[nodiscard]] result<runtime::socket_handle*>
  begin(runtime::reactor& io, int socket, std::shared_ptr<const runtime::tls_context> context,
        runtime::stream& owner);
  /// Goes on where a buffer was missing, or where again() was asked for.
  void resume();
  /// The handshake, or the answer to a good-bye, has taken too long: ends the stream.
  void time_out();

  [[nodiscard]] bool shaking_hands() const noexcept {
    return tls_ && tls_->state() == runtime::tls_state::handshake && !closing_;
  }
  /// The session is done with it; the peer's good-bye is still being answered.
  [[nodiscard]] bool parting() const noexcept { return parting_; }
  /// When the handshake began; while parting, when that did.
  [[nodiscard]] std::uint64_t began_ns() const noexcept { return began_ns_; }
  [[nodiscard]] const runtime::tls_session& tls() const noexcept { return *tls_; }

  bool waits = false;  ///< the host's: it is in the list of those who want a buffer
  bool listed = false; ///< the host's: it is in the list of those to be resumed

  // -- runtime::socket_handle, for the session
  void resume_receive() override;
  void pause_receive() override;
  void send(byte_view data) override;
  void end_sending() override;
  void close() override;

  // -- runtime::stream, from the socket
  void received(runtime::buffer_ref buffer, std::uint32_t size) override;
  void receive_ended(std::int32_t error) override;
  void sent(std::int32_t error) override;
  void stream_closed() override;

 private:
  struct input {
    runtime::buffer_ref buffer;
    byte_view rest;
  };

  void pump();
  bool decrypt();
  bool encrypt();
  void steer_receive();
  void note_state();
  void tell_end();
  void answer_good_bye();

  secure_host& host_;
  runtime::stream* owner_ = nullptr;
  runtime::socket_handle* socket_ = nullptr;
  std::optional<runtime::tls_session> tls_;
  std::uint64_t began_ns_ = 0;

  // in
  std::deque<input> inputs_;    // received and not decrypted
  bool wanted_ = false;         // the session wants bytes
  bool receiving_ = false;      // the socket receives
  bool more_inside_ = false;    // the last decrypted piece filled its buffer
  bool peer_ended_ = false;     // no more comes from the socket,
  std::int32_t peer_error_ = 0; // and why
  bool end_told_ = false;
  bool noted_ = false; // the end of the handshake

  // out
  byte_view unsent_;        // the session's
  bool owes_sent_ = false;  // the session waits for sent()
  runtime::buffer_ref out_; // ciphertext with the socket
  bool sending_ = false;
  bool end_wanted_ = false; // after unsent_, a good-bye
  bool end_said_ = false;
  bool closing_ = false;
  bool parting_ = false; // closing_, and the socket has our good-bye still to take
  bool pumping_ = false;
};

} // namespace lance::actors
