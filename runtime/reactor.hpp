// The door of a lane to the kernel: sockets, waiting and waking. Two implementations pass the same
// tests: uring_reactor (one ring for sockets and files) and epoll_reactor (where io_uring is not
// to be had; files then go to a blocking_thread).
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/buffer_pool.hpp"
#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::runtime {

class uring;

/// Receives connections of one listener. Owned by the listener's owner.
class acceptor {
 public:
  /// A new connected socket (the callee's to close), or a negative errno: then nothing more comes
  /// until listen() is called again, so that a lack of descriptors does not spin.
  virtual void accepted(std::int32_t socket_or_error) = 0;
  /// The listener is stopped: nothing more will come and this may be destroyed.
  virtual void accept_stopped() {}

 protected:
  ~acceptor() = default;
};

/// One connected socket's two directions. Everything happens on the reactor's thread.
class stream {
 public:
  /// Bytes in a pooled buffer, `size` > 0 of them from its start.
  virtual void received(buffer_ref buffer, std::uint32_t size) = 0;
  /// The peer ended its direction (0) or the socket failed (negative errno). No more received().
  virtual void receive_ended(std::int32_t error) = 0;
  /// All bytes of the last send() have been taken by the kernel (0), or the socket failed.
  virtual void sent(std::int32_t error) = 0;
  /// After close(): the kernel holds nothing of this stream any more; it may be destroyed.
  virtual void stream_closed() = 0;

 protected:
  ~stream() = default;
};

/// The reactor's side of one stream; made by add(), valid until stream_closed().
class socket_handle {
 public:
  /// Receiving starts, or goes on after pause(). Buffers come from the reactor's receive pool; when
  /// it is dry receiving waits for a returned buffer, and TCP pushes back.
  virtual void resume_receive() = 0;
  /// No more received() soon: what the kernel already handed over may still come.
  virtual void pause_receive() = 0;
  /// Sends all of `data`, which stays untouched until sent(). One at a time.
  virtual void send(byte_view data) = 0;
  /// After the last sent(): the peer reads to the end of what was sent; receiving goes on.
  virtual void end_sending() = 0;
  /// Ends both directions and closes the socket; stream_closed() follows, always later.
  virtual void close() = 0;

 protected:
  ~socket_handle() = default;
};

class reactor {
 public:
  virtual ~reactor() = default;

  virtual void listen(int listener, acceptor& owner) = 0;
  virtual void stop_listening(int listener) = 0;
  /// Takes over a connected socket.
  virtual socket_handle& add(int socket, stream& owner) = 0;

  /// Does what is due without blocking; true if anything was. The reactor's thread.
  virtual bool turn() = 0;
  /// Blocks until something is due, wake() is called or `timeout_ns` have passed.
  virtual void wait(std::uint64_t timeout_ns) = 0;
  [[nodiscard]] virtual bool ready() const noexcept = 0;
  /// Any thread.
  virtual void wake() noexcept = 0;

  /// The ring behind it, for files; null when there is none.
  [[nodiscard]] virtual uring* ring() noexcept = 0;
  /// How often this reactor entered the kernel to wait or submit.
  [[nodiscard]] virtual std::uint64_t enters() const noexcept = 0;
};

/// Both: made on the thread that runs them. `receive_pool` outlives the reactor.
result<std::unique_ptr<reactor>> make_uring_reactor(std::unique_ptr<uring> ring,
                                                    buffer_pool& receive_pool);
result<std::unique_ptr<reactor>> make_epoll_reactor(buffer_pool& receive_pool);

} // namespace lance::runtime
