#include "client/endpoint.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::client;

TEST_CASE("server addresses are read in every usual form") {
  CHECK(*parse_endpoint("localhost:2000") == endpoint{"localhost", 2000});
  CHECK(*parse_endpoint("broker-2.x") == endpoint{"broker-2.x", 1992});
  CHECK(*parse_endpoint("[::1]:7") == endpoint{"::1", 7});
  CHECK(*parse_endpoint("[fe80::1]") == endpoint{"fe80::1", 1992});
  const auto all = parse_endpoints("a:1,b:2,c");
  REQUIRE(all);
  CHECK(*all == std::vector<endpoint>{{"a", 1}, {"b", 2}, {"c", 1992}});
}

TEST_CASE("what is no server address is refused with the text") {
  for (const auto* text : {"", ":1", "host:", "host:0", "host:65536", "host:1x", "::1", "[::1",
                           "a b", "[::1]7", "http://host:1"}) {
    const auto parsed = parse_endpoint(text);
    INFO(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == errc::invalid_request);
    CHECK(parsed.error().sentence.find(text) != std::string::npos);
  }
  for (const auto text : {std::string_view{"host\0evil", 9}, std::string_view{"a\nb"},
                          std::string_view{"[[::1]:7"}, std::string_view{"a]b"}}) {
    INFO(text);
    CHECK_FALSE(parse_endpoint(text));
  }
  CHECK_FALSE(parse_endpoints("a:1,"));
  std::string many = "h";
  for (std::size_t n = 0; n < endpoints_max; ++n)
    many += ",h";
  CHECK_FALSE(parse_endpoints(many));
}

TEST_CASE("an address is written as it is read") {
  for (const auto* text : {"a:1", "[::1]:7"})
    CHECK(to_text(*parse_endpoint(text)) == text);
}
