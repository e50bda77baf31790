// Memory nodes of the machine. The only file pair that knows libnuma.
#pragma once

#include <cstddef>

namespace lance::runtime {

/// Number of memory nodes this process may use; 1 where the kernel knows of no NUMA.
[[nodiscard]] int numa_node_count() noexcept;
/// The node a CPU belongs to; 0 where unknown.
[[nodiscard]] int numa_node_of(int cpu) noexcept;
/// Binds pages not yet touched to a node (mbind). False if refused; the memory is usable anyway.
bool bind_memory(void* memory, std::size_t bytes, int node) noexcept;

} // namespace lance::runtime
