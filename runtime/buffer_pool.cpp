#include "runtime/buffer_pool.hpp"

#include <cerrno>
#include <cstring>

#include <sys/mman.h>

#include "runtime/check.hpp"
#include "runtime/numa.hpp"
#include "runtime/types.hpp"

namespace lance::runtime {

namespace {

constexpr std::size_t huge_page_bytes = 2 * MiB;

} // namespace

void buffer_ref::reset() noexcept {
  auto* slot = std::exchange(slot_, nullptr);
  if (slot != nullptr && slot->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    slot->home->give_back(slot);
}

result<std::unique_ptr<buffer_pool>> buffer_pool::make(const buffer_pool_options& options) {
  LANCE_CHECK(options.buffer_bytes % 4096 == 0, options.buffer_bytes);
  std::unique_ptr<buffer_pool> pool{new buffer_pool(options)};
  const auto wanted = static_cast<std::size_t>(options.count) * options.buffer_bytes;
  pool->mapped_bytes_ = align_up(wanted, wanted >= huge_page_bytes ? huge_page_bytes : 4096);
  auto* memory = ::mmap(nullptr, pool->mapped_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return fail(errc::io_failed, errno);
  pool->memory_ = static_cast<std::byte*>(memory);
  if (options.huge_pages)
    ::madvise(memory, pool->mapped_bytes_, MADV_HUGEPAGE); // advice: refusal costs speed only
  if (options.numa_node >= 0)
    pool->misplaced_ = !bind_memory(memory, pool->mapped_bytes_, options.numa_node);
  // Touched now, so that no page fault (11 us each here) is left for the record path.
  if (::madvise(memory, pool->mapped_bytes_, MADV_POPULATE_WRITE) != 0)
    std::memset(memory, 0, pool->mapped_bytes_);

  pool->slots_ = std::make_unique<buffer_slot[]>(options.count);
  for (auto i = options.count; i-- > 0;) {
    auto& slot = pool->slots_[i];
    slot.home = pool.get();
    slot.index = i;
    slot.data = pool->memory_ + static_cast<std::size_t>(i) * options.buffer_bytes;
    slot.next = pool->free_;
    pool->free_ = &slot;
  }
  return pool;
}

buffer_pool::~buffer_pool() {
  if (memory_ != nullptr)
    ::munmap(memory_, mapped_bytes_);
}

buffer_ref buffer_pool::take() noexcept {
  if (free_ == nullptr) {
    free_ = returned_.exchange(nullptr, std::memory_order_acquire);
    if (free_ == nullptr) {
      dry_.store(true, std::memory_order_seq_cst);
      free_ = returned_.exchange(nullptr, std::memory_order_seq_cst); // one may have come meanwhile
      if (free_ == nullptr)
        return {};
      dry_.store(false, std::memory_order_relaxed);
    }
  }
  auto* slot = free_;
  free_ = slot->next;
  slot->references.store(1, std::memory_order_relaxed);
  lent_.fetch_add(1, std::memory_order_relaxed);
  return buffer_ref{slot};
}

bool buffer_pool::can_take(std::uint32_t buffers) noexcept {
  if (count() - lent() >= buffers)
    return true;
  dry_.store(true, std::memory_order_seq_cst);
  return count() - lent_.load(std::memory_order_seq_cst) >= buffers; // one may have come meanwhile
}

void buffer_pool::give_back(buffer_slot* slot) noexcept {
  lent_.fetch_sub(1, std::memory_order_seq_cst);
  auto* head = returned_.load(std::memory_order_relaxed);
  do {
    slot->next = head;
  } while (!returned_.compare_exchange_weak(head, slot, std::memory_order_seq_cst,
                                            std::memory_order_relaxed));
  if (dry_.load(std::memory_order_seq_cst) && dry_.exchange(false) && waker_ != nullptr)
    waker_(waker_context_);
}

} // namespace lance::runtime
