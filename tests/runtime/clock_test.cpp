#include "runtime/clock.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace lance::runtime;

TEST_CASE("the real clock agrees with the system's and never goes back") {
  const real_clock clock;
  const auto system = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  const auto wall = static_cast<std::int64_t>(clock.wall_ns());
  CHECK(std::abs(wall - system) < 60'000'000'000);
  auto before = clock.steady_ns();
  for (int i = 0; i < 1000; ++i) {
    const auto now = clock.steady_ns();
    CHECK(now >= before);
    before = now;
  }
}

TEST_CASE("the manual clock stands still until it is set") {
  manual_clock clock;
  const auto wall = clock.wall_ns();
  const auto steady = clock.steady_ns();
  CHECK(clock.wall_ns() == wall);
  clock.advance_ns(5);
  CHECK(clock.wall_ns() == wall + 5);
  CHECK(clock.steady_ns() == steady + 5);
  clock.set_wall_ns(17); // wall time may jump, durations must not
  CHECK(clock.wall_ns() == 17);
  CHECK(clock.steady_ns() == steady + 5);
}
