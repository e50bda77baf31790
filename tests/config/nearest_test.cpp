#include "config/nearest.hpp"

#include <catch2/catch.hpp>

using namespace lance::config;

TEST_CASE("the distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("bind", "bind") == 0);
  CHECK(edit_distance("bnid", "bind") == 1);
  CHECK(edit_distance("bin", "bind") == 1);
  CHECK(edit_distance("wind", "bind") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest word is offered only when it may be meant") {
  const std::vector<std::string> words{"bind", "peer_bind", "max_connections"};
  CHECK(nearest("bnd", words) == "bind");
  CHECK(nearest("max_conections", words) == "max_connections");
  CHECK(nearest("something_else", words).empty());
  CHECK(nearest("", words).empty());
  CHECK(nearest("x", {}).empty());
}
