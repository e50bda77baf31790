#include "wire/sort_key.hpp"

#include <array>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

TEST_CASE("a sort key keeps its four numbers") {
  const auto key = sort_key::make(1'700'000'000'123'456'789, node_id{0xbeef}, 0x7f, 0xffffffffff);
  CHECK(key.timestamp_ns() == 1'700'000'000'123'456'789);
  CHECK(key.node() == node_id{0xbeef});
  CHECK(key.actor() == 0x7f);
  CHECK(key.sequence() == sort_key::sequence_max);
}

TEST_CASE("a sort key is stored as two little-endian words, the time first") {
  const auto key = sort_key::make(0x0102030405060708, node_id{0x1112}, 0x13, 0x2122232425);
  std::array<std::byte, sort_key_bytes> bytes{};
  encode(key, bytes.data());
  CHECK(to_hex(bytes) == "08070605040302012524232221131211");
  CHECK(decode_sort_key(bytes.data()) == key);
}

TEST_CASE("time orders first, then node, actor, sequence") {
  const auto key = sort_key::make(5, node_id{5}, 5, 5);
  CHECK(key < sort_key::make(6, node_id{0}, 0, 0));
  CHECK(key < sort_key::make(5, node_id{6}, 0, 0));
  CHECK(key < sort_key::make(5, node_id{5}, 6, 0));
  CHECK(key < sort_key::make(5, node_id{5}, 5, 6));
}

TEST_CASE("keys grow though the clock stands still or goes back") {
  sort_key_source source{node_id{3}, 1};
  const auto first = source.next(1000);
  CHECK(first == sort_key::make(1000, node_id{3}, 1, 0));
  CHECK(source.next(1000) == sort_key::make(1000, node_id{3}, 1, 1));
  CHECK(source.next(10) == sort_key::make(1000, node_id{3}, 1, 2));
  CHECK(source.next(1001) == sort_key::make(1001, node_id{3}, 1, 0));
  CHECK(source.last() == sort_key::make(1001, node_id{3}, 1, 0));
}

TEST_CASE("a used-up sequence moves the time on by one nanosecond") {
  const auto last = sort_key::make(1000, node_id{3}, 1, sort_key::sequence_max);
  sort_key_source source{node_id{3}, 1, last};
  CHECK(source.next(1000) == sort_key::make(1001, node_id{3}, 1, 0));
}

TEST_CASE("a new leader continues above a key of another node") {
  const auto last = sort_key::make(1000, node_id{9}, 0, 4);
  sort_key_source smaller{node_id{2}, 0, last};
  CHECK(smaller.next(999) == sort_key::make(1001, node_id{2}, 0, 0));
  sort_key_source greater{node_id{10}, 0, last};
  CHECK(greater.next(999) > last);
}

TEST_CASE("keys are strictly monotone whatever the clock does") {
  random_source random{"sort keys"};
  for (int life = 0; life < 50; ++life) {
    auto last = sort_key::make(random.up_to(2000), node_id{static_cast<std::uint16_t>(life)}, 0,
                               sort_key::sequence_max - random.up_to(5));
    sort_key_source source{node_id{static_cast<std::uint16_t>(random.up_to(50))},
                           static_cast<std::uint8_t>(random.up_to(3)), last};
    for (int step = 0; step < 200; ++step) {
      const auto next = source.next(random.up_to(2000));
      REQUIRE(next > last);
      REQUIRE(next.timestamp_ns() >= last.timestamp_ns());
      last = next;
    }
  }
}
