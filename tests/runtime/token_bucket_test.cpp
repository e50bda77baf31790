#include "runtime/token_bucket.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using runtime::token_bucket;

TEST_CASE("a bucket begins full, and its rate is what passes on average") {
  std::uint64_t now = 5 * s_in_ns;
  token_bucket bucket{1000, now};
  std::uint64_t taken = 0;
  const auto end = now + 100 * s_in_ns;
  while (now < end) {
    const auto wait = bucket.wait_ns(now);
    if (wait > 0) {
      now += wait;
      continue;
    }
    bucket.take(77, now);
    taken += 77;
  }
  CHECK(taken >= 100 * 1000);
  CHECK(taken <= 101 * 1000 + 2 * 77); // the second's worth it began with, and one debt
}

TEST_CASE("what is larger than a second's worth passes, and is paid back") {
  token_bucket bucket{1000, 0};
  CHECK(bucket.wait_ns(0) == 0);
  bucket.take(10'000, 0);
  const auto wait = bucket.wait_ns(0);
  CHECK(wait > 9 * s_in_ns);
  CHECK(wait <= 9 * s_in_ns + 2 * ms_in_ns);
  CHECK(bucket.wait_ns(wait - ms_in_ns) > 0);
  CHECK(bucket.wait_ns(wait) == 0);
}

TEST_CASE("time that goes back or stands still gives nothing") {
  token_bucket bucket{1000, 10 * s_in_ns};
  bucket.take(2000, 10 * s_in_ns);
  const auto wait = bucket.wait_ns(10 * s_in_ns);
  CHECK(bucket.wait_ns(s_in_ns) == wait);
  CHECK(bucket.wait_ns(10 * s_in_ns) == wait);
}

TEST_CASE("without a rate nobody waits") {
  token_bucket bucket;
  bucket.take(~std::uint64_t{0}, 1);
  CHECK(bucket.wait_ns(1) == 0);
  CHECK(bucket.full(1));
}

TEST_CASE("another rate keeps the debt and cuts what is beyond its second") {
  token_bucket bucket{1000, 0};
  bucket.take(3000, 0);
  bucket.set_rate(4000, 0);
  CHECK(bucket.wait_ns(0) <= s_in_ns / 2 + ms_in_ns);
  CHECK(bucket.wait_ns(0) > s_in_ns / 2 - ms_in_ns);
  token_bucket rich{1'000'000, 0};
  rich.set_rate(10, 0);
  rich.take(10, 0);
  CHECK(rich.wait_ns(0) > 0);
}

TEST_CASE("no debt is waited for longer than a day, and idle buckets are full again") {
  token_bucket bucket{1, 0};
  bucket.take(~std::uint64_t{0} / 2, 0);
  CHECK(bucket.wait_ns(0) == 86'400 * s_in_ns);
  token_bucket other{1000, 0};
  other.take(500, 0);
  CHECK_FALSE(other.full(0));
  CHECK(other.full(s_in_ns));
}
