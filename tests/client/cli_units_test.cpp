#include "client/cli/units.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::client;
using namespace lance::client::cli;

TEST_CASE("sizes take decimal and binary units, and nothing ambiguous") {
  CHECK(parse_bytes("0") == 0);
  CHECK(parse_bytes("4096") == 4096);
  CHECK(parse_bytes("17B") == 17);
  CHECK(parse_bytes("1MB") == 1'000'000);
  CHECK(parse_bytes("64KiB") == 65'536);
  CHECK(parse_bytes("10GiB") == 10 * GiB);
  CHECK(parse_bytes("2TB") == 2'000'000'000'000);
  for (const auto* text :
       {"", "-5", "10XB", "64k", "1.5GiB", "GiB", "1 MB", "18446744073709551616", "99999999999TiB"})
    CHECK_FALSE(parse_bytes(text));
}

TEST_CASE("durations take units, alone and together") {
  CHECK(parse_duration_ns("90") == 90 * s_in_ns);
  CHECK(parse_duration_ns("250ms") == 250 * ms_in_ns);
  CHECK(parse_duration_ns("7d") == 7 * 86'400 * s_in_ns);
  CHECK(parse_duration_ns("1h30m") == 5'400 * s_in_ns);
  CHECK(parse_duration_ns("2w") == 14 * 86'400 * s_in_ns);
  CHECK(parse_duration_ns("5us") == 5'000);
  CHECK(parse_duration_ns("0") == 0);
  for (const auto* text :
       {"", "soon", "-5m", "5 m", "5y", "1h30", "h", "999999999999999999999s", "99999999999d"})
    CHECK_FALSE(parse_duration_ns(text));
}

TEST_CASE("times are RFC 3339, Unix seconds, or so long ago") {
  const std::uint64_t now = 1'738'324'800 * s_in_ns;
  CHECK(parse_time_ns("1970-01-01T00:00:00Z", now) == 0);
  CHECK(parse_time_ns("2025-01-31T12:00:00Z", now) == 1'738'324'800 * s_in_ns);
  CHECK(parse_time_ns("2025-01-31T13:00:00+01:00", now) == 1'738'324'800 * s_in_ns);
  CHECK(parse_time_ns("2025-01-31 07:00:00.25-05:00", now) ==
        1'738'324'800 * s_in_ns + 250 * ms_in_ns);
  CHECK(parse_time_ns("2024-02-29T00:00:00.000000001Z", now) == 1'709'164'800 * s_in_ns + 1);
  CHECK(parse_time_ns("1738324800", now) == now);
  CHECK(parse_time_ns("1738324800.5", now) == now + 500 * ms_in_ns);
  CHECK(parse_time_ns("-5m", now) == now - 300 * s_in_ns);
  for (const auto* text :
       {"", "yesterday", "2025-01-31", "2025-01-31T12:00:00", "2025-02-29T00:00:00Z",
        "2025-13-01T00:00:00Z", "2025-01-31T24:00:00Z", "1969-12-31T23:59:59Z",
        "2025-01-31T12:00:00+1:00", "2025-01-31T12:00:00Zx", "-", "1.", "-99999w"})
    CHECK_FALSE(parse_time_ns(text, now));
}

TEST_CASE("places in a topic") {
  using kind = start_position::kind;
  const std::uint64_t now = 1000 * s_in_ns;
  CHECK(parse_start("earliest", now) == start_position{kind::earliest, 0});
  CHECK(parse_start("latest", now) == start_position{kind::latest, 0});
  CHECK(parse_start("42", now) == start_position{kind::offset, 42});
  CHECK(parse_start("record:7", now) == start_position{kind::record, 7});
  CHECK(parse_start("@900", now) == start_position{kind::time, 900 * s_in_ns});
  CHECK(parse_start("@-1m", now) == start_position{kind::time, 940 * s_in_ns});
  for (const auto* text : {"", "yesterday-ish", "-1", "record:", "record:x", "@", "@soon", "7x"})
    CHECK_FALSE(parse_start(text, now));
}

TEST_CASE("numbers are shown for people") {
  CHECK(show_bytes(0) == "0 B");
  CHECK(show_bytes(1023) == "1023 B");
  CHECK(show_bytes(1536) == "1.5 KiB");
  CHECK(show_bytes(10 * GiB) == "10 GiB");
  CHECK(show_seconds(0) == "0s");
  CHECK(show_seconds(604'800) == "7d");
  CHECK(show_seconds(5'445) == "1h30m45s");
  CHECK(show_latency(999) == "999 ns");
  CHECK(show_latency(12'345) == "12.3 us");
  CHECK(show_latency(4'567'000) == "4.57 ms");
  CHECK(show_latency(1'200'000'000) == "1.20 s");
  CHECK(show_time(1'738'324'800) == "2025-01-31T12:00:00Z");
}
