#include "client/backoff.hpp"

#include <vector>

#include <catch2/catch.hpp>

using namespace lance::client;
using std::chrono::milliseconds;

TEST_CASE("waits double up to the longest, less a random half at most") {
  backoff waits{{milliseconds{100}, milliseconds{1000}, 42}};
  for (const auto whole : {100, 200, 400, 800, 1000, 1000}) {
    const auto wait = waits.next();
    CHECK(wait >= milliseconds{whole / 2});
    CHECK(wait <= milliseconds{whole});
  }
  waits.reset();
  CHECK(waits.next() <= milliseconds{100});
}

TEST_CASE("the same seed waits the same, another one does not") {
  const auto draw = [](std::uint64_t seed) {
    backoff waits{{milliseconds{100}, milliseconds{5000}, seed}};
    std::vector<std::chrono::nanoseconds> all;
    for (int n = 0; n < 8; ++n)
      all.push_back(waits.next());
    return all;
  };
  CHECK(draw(1) == draw(1));
  CHECK(draw(1) != draw(2));
}
