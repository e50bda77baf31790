#include "tests/runtime/allocations.hpp"

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

namespace lance::runtime::test {

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
  CHECK(count.elsewhere() == 0);
  std::thread{[] { std::make_unique<std::string>(100, 'y'); }}.join();
  CHECK(count.elsewhere() >= 2);
}

} // namespace lance::runtime::test
