#include "config/units.hpp"

#include <catch2/catch.hpp>

using namespace lance::config;

TEST_CASE("sizes are bytes, with or without a unit") {
  CHECK(parse_size("4096") == 4096);
  CHECK(parse_size("128MiB") == 128 * 1024 * 1024);
  CHECK(parse_size("10 GB") == 10'000'000'000);
  CHECK(parse_size("0") == 0);
  for (const auto* bad : {"", "MiB", "-1", "1.5GiB", "1 MIB", "9223372036854775807KiB", "1 2"})
    CHECK_FALSE(parse_size(bad).has_value());
}

TEST_CASE("durations come out in the wanted unit, or not at all") {
  CHECK(parse_duration("30", "ms") == 30);
  CHECK(parse_duration("2s", "ms") == 2000);
  CHECK(parse_duration("7d", "s") == 7 * 86400);
  CHECK(parse_duration("1500ms", "us") == 1'500'000);
  CHECK(parse_duration("1h", "s") == 3600);
  CHECK(parse_duration("5m", "s") == 300);
  for (const auto* bad : {"", "s", "1500ms", "1w", "-1s", "106751992d"})
    CHECK_FALSE(parse_duration(bad, "s").has_value());
}

TEST_CASE("a size is written with the largest unit that divides it") {
  CHECK(size_text(128 * 1024 * 1024) == "128MiB");
  CHECK(size_text(1000) == "1000B");
  CHECK(size_text(0) == "0B");
  CHECK(size_text(3 * 1024) == "3KiB");
  for (const std::uint64_t bytes : {1ULL, 4096ULL, 5ULL << 40, (4ULL << 30) - 4096})
    CHECK(parse_size(size_text(bytes)) == static_cast<std::int64_t>(bytes));
}
