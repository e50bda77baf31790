#include "runtime/numa.hpp"

#include <numa.h>
#include <numaif.h>

namespace lance::runtime {

namespace {

// libnuma initialises its CPU map lazily and without a lock: once, by the first caller's thread.
bool known() noexcept {
  static const bool answer = [] {
    if (::numa_available() < 0)
      return false;
    ::numa_node_of_cpu(0);
    return true;
  }();
  return answer;
}

} // namespace

int numa_node_count() noexcept {
  return known() ? ::numa_num_configured_nodes() : 1;
}

int numa_node_of(int cpu) noexcept {
  if (!known())
    return 0;
  const int node = ::numa_node_of_cpu(cpu);
  return node < 0 ? 0 : node;
}

bool bind_memory(void* memory, std::size_t bytes, int node) noexcept {
  if (!known() || node < 0 || node >= 64)
    return false;
  const unsigned long mask = 1UL << node;
  return ::mbind(memory, bytes, MPOL_BIND, &mask, 64, 0) == 0;
}

} // namespace lance::runtime
