#include "runtime/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace lance {

void check_failed(const char* file, int line, const char* condition, check_value a,
                  check_value b) noexcept {
  std::fprintf(stderr, "%s:%d: broken promise: %s (values %lld, %lld)\n", file, line, condition,
               static_cast<long long>(a.value), static_cast<long long>(b.value));
  std::fflush(stderr);
  std::abort();
}

} // namespace lance
