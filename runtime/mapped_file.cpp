#include "runtime/mapped_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <utility>

#include "runtime/check.hpp"

namespace lance::runtime {

namespace {

// Read by the handler on whatever thread met the page: plain atomics, and never given back.
struct mapping_slot {
  std::atomic<std::uintptr_t> begin{0}; // 0: free
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> failed{false};
};

std::array<mapping_slot, mapped_file::mappings_max> slots;
std::atomic<std::size_t> slots_used{0}; // above, none was ever taken
std::mutex taking;
std::size_t look_from = 0;

void on_bus_error(int, siginfo_t* what, void*) {
  const int before = errno;
  const auto at = reinterpret_cast<std::uintptr_t>(what->si_addr);
  const auto used = slots_used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    const auto begin = slots[i].begin.load(std::memory_order_acquire);
    if (begin == 0 || at < begin || at >= slots[i].end.load(std::memory_order_relaxed))
      continue;
    const auto page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    auto* page = reinterpret_cast<void*>(at - at % page_bytes);
    if (::mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
      break;
    slots[i].failed.store(true, std::memory_order_release);
    errno = before;
    return; // and the read is done again
  }
  ::signal(SIGBUS, SIG_DFL); // not ours: it happens again, and ends the process as it should
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    LANCE_CHECK(::sigaction(SIGBUS, &action, nullptr) == 0, errno);
  });
}

// Nothing when all are taken.
std::size_t take_slot() {
  const std::lock_guard hold{taking};
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto at = (look_from + i) % slots.size();
    if (slots[at].end.load(std::memory_order_relaxed) != 0)
      continue;
    look_from = at + 1;
    slots[at].end.store(1, std::memory_order_relaxed); // taken, and no range yet
    slots[at].failed.store(false, std::memory_order_relaxed);
    if (at >= slots_used.load(std::memory_order_relaxed))
      slots_used.store(at + 1, std::memory_order_release);
    return at;
  }
  return slots.size();
}

void give_back(std::size_t at) {
  const std::lock_guard hold{taking};
  slots[at].begin.store(0, std::memory_order_release);
  slots[at].end.store(0, std::memory_order_release);
  look_from = std::min(look_from, at);
}

} // namespace

result<mapped_file> mapped_file::map(int descriptor) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0)
    return fail(errc::io_failed, errno);
  const auto size = static_cast<std::size_t>(facts.st_size);
  mapped_file made;
  if (size == 0) // nothing to map, and mmap refuses it
    return made;
  install_handler();
  const auto slot = take_slot();
  if (slot == slots.size())
    return fail(errc::io_failed, EMFILE);
  auto* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    give_back(slot);
    return fail(errc::io_failed, error);
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  slots[slot].end.store(begin + size, std::memory_order_relaxed);
  slots[slot].begin.store(begin, std::memory_order_release);
  made.slot_ = slot;
  return made;
}

mapped_file::mapped_file(mapped_file&& other) noexcept
    : slot_(std::exchange(other.slot_, nothing)) {}

mapped_file& mapped_file::operator=(mapped_file&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

mapped_file::~mapped_file() {
  if (slot_ == nothing)
    return;
  const auto mapped = bytes();
  auto* memory = const_cast<std::byte*>(mapped.data());
  const auto size = mapped.size();
  // Out of the table first: the addresses may be somebody else's the moment they are given up.
  slots[slot_].begin.store(0, std::memory_order_release);
  ::munmap(memory, size);
  give_back(slot_);
}

byte_view mapped_file::bytes() const noexcept {
  if (slot_ == nothing)
    return {};
  const auto begin = slots[slot_].begin.load(std::memory_order_relaxed);
  return {reinterpret_cast<const std::byte*>(begin),
          slots[slot_].end.load(std::memory_order_relaxed) - begin};
}

bool mapped_file::failed() const noexcept {
  return slot_ != nothing && slots[slot_].failed.load(std::memory_order_acquire);
}

} // namespace lance::runtime
