#include "tests/runtime/allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>

namespace {
std::atomic<std::uint64_t> allocations{0};
std::atomic<std::uint64_t> of_counted_threads{0};
thread_local std::uint64_t of_this_thread = 0;
thread_local bool counted = false;

[[maybe_unused]] void note() noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  ++of_this_thread;
  if (counted)
    of_counted_threads.fetch_add(1, std::memory_order_relaxed);
}
} // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {

// What glibc's own malloc is called under; free() takes what these return.
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  note();
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  note();
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
  note();
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  note();
  return __libc_memalign(alignment, size);
}
}
#endif

namespace lance::runtime::test {

void count_allocations_of_this_thread() noexcept {
  counted = true;
}

allocation_count::allocation_count() noexcept
    : counted_(of_counted_threads.load(std::memory_order_relaxed)), elsewhere_(others()) {}

std::uint64_t allocation_count::so_far() const noexcept {
  return of_counted_threads.load(std::memory_order_relaxed) - counted_;
}

std::uint64_t allocation_count::elsewhere() const noexcept {
  return others() - elsewhere_;
}

std::uint64_t allocation_count::others() noexcept {
  return allocations.load(std::memory_order_relaxed) - of_this_thread;
}

} // namespace lance::runtime::test
