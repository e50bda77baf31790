#include "tests/runtime/allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

#include <catch2/catch.hpp>

namespace {
std::atomic<std::uint64_t> allocations{0};
thread_local bool counted = false;

[[maybe_unused]] void note() noexcept {
  if (counted)
    allocations.fetch_add(1, std::memory_order_relaxed);
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
    : before_(allocations.load(std::memory_order_relaxed)) {}

std::uint64_t allocation_count::so_far() const noexcept {
  return allocations.load(std::memory_order_relaxed) - before_;
}

TEST_CASE("allocations of every kind are counted", "[allocations]") {
  if (!allocations_are_counted) {
    WARN("a sanitizer has the allocator here: nothing is counted");
    return;
  }
  count_allocations_of_this_thread();
  const allocation_count count;
  const auto number = std::make_unique<int>(7);
  const auto one = count.so_far();
  const std::string text(100, 'x'); // made inside libstdc++
  const auto two = count.so_far();
  std::free(std::malloc(*number == 7 && text.size() == 100 ? 10 : 20));
  const auto three = count.so_far();
  CHECK(one == 1);
  CHECK(two == 2);
  CHECK(three >= 2); // a compiler may leave out what is freed at once
}

} // namespace lance::runtime::test
