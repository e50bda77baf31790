#include "wire/consumer_id.hpp"

#include <set>
#include <string>

#include <catch2/catch.hpp>

#include "tests/wire/vectors.hpp"

using namespace lance::wire;
using namespace lance::wire::test;

TEST_CASE("consumer names have the published client's numbers") {
  for (const auto& [name, id] : vectors().at("consumer_id_hash").at("values").items())
    CHECK(consumer_id_of(name) == number(id));
}

TEST_CASE("names of every length around a word differ") {
  std::set<std::uint64_t> seen;
  for (std::size_t length = 0; length < 40; ++length)
    seen.insert(consumer_id_of(std::string(length, 'x')));
  CHECK(seen.size() == 40);
}
