#include "actors/event_limit.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::actors;

TEST_CASE("events beyond the limit are held back, counted, and told of in the next window",
          "[event_limit]") {
  event_limit limit;
  const std::uint64_t now = 7 * s_in_ns;
  for (std::uint32_t n = 0; n < event_limit::events_max; ++n) {
    const auto told = limit.take(now + n);
    REQUIRE(told);
    CHECK(told->held_back == 0);
  }
  for (int n = 0; n < 5; ++n)
    CHECK_FALSE(limit.take(now + event_limit::window_ns - 1));
  const auto later = limit.take(now + event_limit::window_ns);
  REQUIRE(later);
  CHECK(later->held_back == 5);
  CHECK(limit.take(now + event_limit::window_ns)->held_back == 0);
}
