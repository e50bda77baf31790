// Counts what threads allocate: how a test shows that a steady state allocates nothing. Either what
// chosen threads do, or all but one's own; among the latter are CAF's workers, which begin, and
// allocate for that, whenever they first get a CPU. A sanitizer has an allocator of its own;
// nothing is counted under it.
#pragma once

#include <cstdint>

namespace lance::runtime::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool allocations_are_counted = false;
#else
inline constexpr bool allocations_are_counted = true;
#endif

/// From here on what this thread allocates counts for so_far().
void count_allocations_of_this_thread() noexcept;

/// Calls of malloc and its kin, operator new among them, since its making. On the thread that made
/// it.
class allocation_count {
 public:
  allocation_count() noexcept;
  /// Of the threads counted.
  [[nodiscard]] std::uint64_t so_far() const noexcept;
  /// Of all threads but this one.
  [[nodiscard]] std::uint64_t elsewhere() const noexcept;

 private:
  [[nodiscard]] static std::uint64_t others() noexcept;
  std::uint64_t counted_;
  std::uint64_t elsewhere_;
};

} // namespace lance::runtime::test
