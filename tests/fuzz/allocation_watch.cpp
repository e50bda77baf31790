#include "tests/fuzz/allocation_watch.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define LANCE_FUZZ_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LANCE_FUZZ_SANITIZED 1
#endif
#endif

#ifdef LANCE_FUZZ_SANITIZED
extern "C" {
// <sanitizer/allocator_interface.h>, which Debian has for clang only; g++'s library has both too.
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                              void (*on_free)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void* memory);
}
#else
#include <malloc.h>
#endif

namespace lance::fuzz {

namespace {

// Of the one thread that runs inputs: what others do (libFuzzer has one for its memory limit) is
// not an input's.
thread_local bool watching = false;
thread_local std::int64_t live = 0;
thread_local std::int64_t peak = 0;
thread_local std::int64_t most = 0;

void note(std::size_t bytes) noexcept {
  if (!watching)
    return;
  live += static_cast<std::int64_t>(bytes);
  if (live > peak)
    peak = live;
  if (live > most) {
    watching = false;
    std::fprintf(stderr, "allocation cap: %lld bytes at once, %lld allowed\n",
                 static_cast<long long>(live), static_cast<long long>(most));
    std::abort();
  }
}

void note_freed(std::size_t bytes) noexcept {
  if (watching)
    live -= static_cast<std::int64_t>(bytes);
}

#ifdef LANCE_FUZZ_SANITIZED
void on_malloc(const volatile void*, std::size_t bytes) {
  note(bytes);
}
void on_free(const volatile void* memory) {
  if (watching && memory != nullptr)
    note_freed(__sanitizer_get_allocated_size(memory));
}
[[maybe_unused]] const int installed =
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
#endif

} // namespace

void watch_allocations(std::uint64_t limit) noexcept {
  live = 0;
  peak = 0;
  most = static_cast<std::int64_t>(limit);
  watching = true;
}

void stop_watching() noexcept {
  watching = false;
}

std::uint64_t allocated_peak() noexcept {
  return static_cast<std::uint64_t>(peak);
}

} // namespace lance::fuzz

#ifndef LANCE_FUZZ_SANITIZED
extern "C" {

// What glibc's own malloc is called under.
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) {
  lance::fuzz::note(size);
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  lance::fuzz::note(count * size);
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
  if (memory != nullptr)
    lance::fuzz::note_freed(malloc_usable_size(memory));
  lance::fuzz::note(size);
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  lance::fuzz::note(size);
  return __libc_memalign(alignment, size);
}
void free(void* memory) {
  if (memory != nullptr)
    lance::fuzz::note_freed(malloc_usable_size(memory));
  __libc_free(memory);
}
}
#endif
