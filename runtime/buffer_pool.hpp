// Aligned memory, lent and given back, never made later: one mapping at start, pre-faulted, on huge
// pages where allowed, bound to the lane's NUMA node where there is more than one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::runtime {

class buffer_pool;

/// Where a buffer of the pool is. Owned by the pool; reached through buffer_ref only.
struct buffer_slot {
  buffer_pool* home = nullptr;
  std::byte* data = nullptr;
  std::uint32_t index = 0;
  std::atomic<std::uint32_t> references{0};
  buffer_slot* next = nullptr;
};

/// A counted handle of one buffer. Moving passes it on; share() makes a second one; when the last
/// is dropped, on whatever thread, the buffer returns to its pool. The pool outlives its handles.
class buffer_ref {
 public:
  buffer_ref() noexcept = default;
  buffer_ref(buffer_ref&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  buffer_ref& operator=(buffer_ref&& other) noexcept {
    if (this != &other) {
      reset();
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  buffer_ref(const buffer_ref&) = delete;
  buffer_ref& operator=(const buffer_ref&) = delete;
  ~buffer_ref() { reset(); }

  /// A second handle of the same buffer.
  [[nodiscard]] buffer_ref share() const noexcept {
    if (slot_ != nullptr)
      slot_->references.fetch_add(1, std::memory_order_relaxed);
    return buffer_ref{slot_};
  }
  void reset() noexcept;

  [[nodiscard]] std::byte* data() const noexcept { return slot_->data; }
  [[nodiscard]] std::size_t size() const noexcept; ///< capacity in bytes; the same for a whole pool
  [[nodiscard]] std::uint32_t index() const noexcept { return slot_->index; } ///< in its pool
  [[nodiscard]] const buffer_pool* home() const noexcept { return slot_->home; }
  [[nodiscard]] bool shared() const noexcept {
    return slot_->references.load(std::memory_order_acquire) > 1;
  }
  explicit operator bool() const noexcept { return slot_ != nullptr; }

 private:
  friend class buffer_pool;
  explicit buffer_ref(buffer_slot* slot) noexcept : slot_(slot) {}
  buffer_slot* slot_ = nullptr;
};

struct buffer_pool_options {
  std::uint32_t count = 0;      ///< buffers
  std::size_t buffer_bytes = 0; ///< multiple of 4096, so that O_DIRECT takes any of them
  int numa_node = -1;           ///< bind the memory here; -1 leaves it to the kernel
  bool huge_pages = true;       ///< ask for transparent huge pages; refused is fine
};

/// One thread takes; any thread gives back (by dropping the handle).
class buffer_pool {
 public:
  /// Maps and touches count * buffer_bytes. Errors: io_failed with errno (out of memory).
  static result<std::unique_ptr<buffer_pool>> make(const buffer_pool_options& options);
  ~buffer_pool();
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;

  /// The owner's thread only. An empty handle means the pool is dry: hold back and come again; the
  /// waker is then called once when a buffer has returned.
  [[nodiscard]] buffer_ref take() noexcept;
  /// For whoever needs `buffers` of them at once, asked before the first is taken: giving back what
  /// was taken in vain would call one's own waker. False: the waker is called as after an empty
  /// take(). True is no promise: a buffer may be on its way back at this moment.
  [[nodiscard]] bool can_take(std::uint32_t buffers) noexcept;

  [[nodiscard]] std::size_t buffer_bytes() const noexcept { return options_.buffer_bytes; }
  [[nodiscard]] std::uint32_t count() const noexcept { return options_.count; }
  /// Buffers lent at this moment. Any thread; a reading of a moving number.
  [[nodiscard]] std::uint32_t lent() const noexcept {
    return lent_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] byte_span memory() const noexcept { return {memory_, mapped_bytes_}; }
  /// A memory node was asked for, and the kernel did not bind the memory to it.
  [[nodiscard]] bool misplaced() const noexcept { return misplaced_; }
  /// Called on the thread that returns a buffer after take() had come back empty. Set before use.
  void on_return(void (*waker)(void*), void* context) noexcept {
    waker_ = waker;
    waker_context_ = context;
  }

  /// The index under which rings know this memory as a fixed buffer; -1 while unregistered.
  [[nodiscard]] int registered_index() const noexcept { return registered_index_; }
  void set_registered_index(int index) noexcept { registered_index_ = index; }

 private:
  friend class buffer_ref;
  explicit buffer_pool(const buffer_pool_options& options) : options_(options) {}
  void give_back(buffer_slot* slot) noexcept;

  buffer_pool_options options_;
  std::byte* memory_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::unique_ptr<buffer_slot[]> slots_;
  int registered_index_ = -1;
  bool misplaced_ = false;
  void (*waker_)(void*) = nullptr;
  void* waker_context_ = nullptr;
  buffer_slot* free_ = nullptr; // the owner's
  alignas(64) std::atomic<buffer_slot*> returned_{nullptr};
  std::atomic<bool> dry_{false};
  std::atomic<std::uint32_t> lent_{0};
};

inline std::size_t buffer_ref::size() const noexcept {
  return slot_->home->buffer_bytes();
}

} // namespace lance::runtime
