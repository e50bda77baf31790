// How many bytes are allocated at once between two moments. One thread; libraries' allocations
// count too.
#pragma once

#include <cstdint>

namespace lance::fuzz {

/// From now on; the process ends with a sentence at the allocation that goes over `limit`.
void watch_allocations(std::uint64_t limit) noexcept;
void stop_watching() noexcept;
/// The most there was since watch_allocations().
[[nodiscard]] std::uint64_t allocated_peak() noexcept;

} // namespace lance::fuzz
