#include "actors/traffic.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::actors;

TEST_CASE("rates are what came since the look before, per second") {
  traffic seen;
  const auto first = seen.look({100, 1000, 5, 50}, 7 * s_in_ns);
  CHECK(first.ingest_ops == 0); // what came before the first look is of unknown age
  CHECK(first.read_bytes == 0);
  const auto next = seen.look({110, 3000, 6, 950}, 7 * s_in_ns + s_in_ns / 2);
  CHECK(next.ingest_ops == Approx(20));
  CHECK(next.ingest_bytes == Approx(4000));
  CHECK(next.read_ops == Approx(2));
  CHECK(next.read_bytes == Approx(1800));
  CHECK(seen.look({110, 3000, 6, 950}, 9 * s_in_ns).ingest_bytes == 0);
}

TEST_CASE("no time, no rate") {
  traffic seen;
  (void)seen.look({}, 5);
  CHECK(seen.look({1, 1, 1, 1}, 5).ingest_ops == 0);
}
