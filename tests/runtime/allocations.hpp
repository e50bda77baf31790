// Counts what chosen threads allocate: how a test shows that a steady state allocates nothing. The
// others are left out because CAF's workers begin, and allocate for that, whenever they first get a
// CPU. A sanitizer has an allocator of its own; nothing is counted under it.
#pragma once

#include <cstdint>

namespace lance::runtime::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool allocations_are_counted = false;
#else
inline constexpr bool allocations_are_counted = true;
#endif

/// From here on what this thread allocates is counted.
void count_allocations_of_this_thread() noexcept;

/// Of the threads counted: calls of malloc and its kin, operator new among them, since its making.
class allocation_count {
 public:
  allocation_count() noexcept;
  [[nodiscard]] std::uint64_t so_far() const noexcept;

 private:
  std::uint64_t before_;
};

} // namespace lance::runtime::test
