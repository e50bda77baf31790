// One io_uring: submit and complete. The only file pair that knows liburing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sys/uio.h>

#include "runtime/buffer_pool.hpp"
#include "runtime/bytes.hpp"
#include "runtime/operation.hpp"
#include "runtime/result.hpp"

namespace lance::runtime {

/// What this kernel grants this process. Found by trying, once, at start.
struct uring_capabilities {
  bool available = false;     ///< a ring could be made and a NOP went through it
  int refusal = 0;            ///< errno of the refusal when not (EPERM: seccomp; ENOSYS: none)
  bool single_issuer = false; ///< SINGLE_ISSUER | DEFER_TASKRUN
  bool multishot_accept = false;
  bool multishot_receive = false;  ///< with a ring of provided buffers
  bool registered_buffers = false; ///< false where RLIMIT_MEMLOCK forbids it
  int registered_refusal = 0;      ///< errno of that
};

/// Tries out what the ring can do here. Makes and destroys small rings; any thread, at start.
[[nodiscard]] uring_capabilities probe_uring() noexcept;

/// The operations that uring uses and this kernel does not know, by name: none where io_uring is
/// complete. Nothing when it cannot be asked.
[[nodiscard]] std::optional<std::vector<std::string>> missing_uring_operations();

struct uring_options {
  unsigned submission_depth = 4096; ///< entries; completions get twice as many
};

/// A ring that belongs to the thread that made it: every member but wake-ups is for that thread.
/// Submissions are prepared here and enter the kernel in turn() or wait(), many at a time. When the
/// submission ring is full the ring enters the kernel by itself to make room.
class uring {
 public:
  static result<std::unique_ptr<uring>> make(const uring_capabilities& capabilities,
                                             const uring_options& options);
  ~uring();
  uring(const uring&) = delete;
  uring& operator=(const uring&) = delete;

  /// Registers the pool's memory as a fixed buffer and tells the pool its index. Errors: io_failed
  /// (ENOMEM: memlock limit); the pool then stays usable unregistered.
  result<> register_pool(buffer_pool& pool);

  // -- files -----------------------------------------------------------------------------------
  /// Positional write of all of `data` (which must stay until completion). `pool` names the
  /// registered pool the data lies in, or null. `link`: the next submission waits for this one and
  /// is cancelled (-ECANCELED) if this one fails or is short.
  void write(operation& done, int file, byte_view data, std::uint64_t position,
             const buffer_pool* pool, bool link = false);
  /// The same of several pieces of memory, one behind the other in the file. `pieces` must stay
  /// until completion, as what they name; at most IOV_MAX of them.
  void write(operation& done, int file, std::span<const iovec> pieces, std::uint64_t position,
             bool link = false);
  void read(operation& done, int file, byte_span into, std::uint64_t position,
            const buffer_pool* pool);
  /// fdatasync of the file.
  void flush(operation& done, int file);

  // -- sockets ---------------------------------------------------------------------------------
  /// Completes with a new socket per connection, `more` while it stays armed.
  void accept(operation& done, int listener);
  void receive(operation& done, int socket, byte_span into);
  /// Multishot receive into buffers the kernel picks from group `group`; complete() then finds the
  /// buffer's number in last_buffer().
  void receive_provided(operation& done, int socket, std::uint16_t group, bool multishot);
  void send(operation& done, int socket, byte_view data);
  /// Asks for the end of `target`, which then completes with -ECANCELED (or as it would have).
  void cancel(operation& target);

  /// Makes `entries` (a power of two) provided-buffer places known as `group`; see provide().
  result<> make_buffer_group(std::uint16_t group, std::uint32_t entries);
  /// Puts a buffer at the kernel's disposal under `number`; publish_provided() makes it seen.
  void provide(std::uint16_t group, std::uint16_t number, byte_span buffer) noexcept;
  void publish_provided(std::uint16_t group) noexcept;
  /// The provided-buffer number of the completion being delivered, or -1.
  [[nodiscard]] int last_buffer() const noexcept { return last_buffer_; }

  // -- the loop --------------------------------------------------------------------------------
  /// Enters the kernel if anything waits there, then delivers all completions. True if any.
  bool turn();
  /// Blocks until a completion is there, wake() is called, or `timeout_ns` have passed.
  void wait(std::uint64_t timeout_ns);
  /// Any thread: ends a wait().
  void wake() noexcept;
  /// True if a turn would find something. Cheap; does not enter the kernel.
  [[nodiscard]] bool ready() const noexcept;

  [[nodiscard]] std::uint64_t enters() const noexcept { return enters_; }
  [[nodiscard]] std::uint64_t submitted() const noexcept { return submitted_; }
  [[nodiscard]] std::uint64_t completed() const noexcept { return completed_; }
  [[nodiscard]] const uring_capabilities& capabilities() const noexcept { return capabilities_; }

 private:
  struct ring;
  struct wake_operation;
  uring(const uring_capabilities& capabilities);
  unsigned deliver();
  void arm_wake();

  uring_capabilities capabilities_;
  std::unique_ptr<ring> ring_;
  std::unique_ptr<wake_operation> wake_operation_;
  int wake_event_ = -1;
  std::uint64_t wake_value_ = 0;
  int last_buffer_ = -1;
  int registered_ = 0;
  std::uint64_t enters_ = 0;
  std::uint64_t submitted_ = 0;
  std::uint64_t completed_ = 0;
};

} // namespace lance::runtime
