// Counts what the whole process allocates, on all threads: how a test shows that a steady state
// allocates nothing. AddressSanitizer has an allocator of its own; nothing is counted under it.
#pragma once

#include <cstdint>

namespace lance::runtime::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool allocations_are_counted = false;
#else
inline constexpr bool allocations_are_counted = true;
#endif

/// Calls of malloc and its kin, operator new among them, since its making.
class allocation_count {
 public:
  allocation_count() noexcept;
  [[nodiscard]] std::uint64_t so_far() const noexcept;

 private:
  std::uint64_t before_;
};

} // namespace lance::runtime::test
