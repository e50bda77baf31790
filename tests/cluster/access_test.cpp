#include "cluster/access.hpp"

#include <random>

#include <catch2/catch.hpp>

namespace lance::cluster {
namespace {

// What `*` means, said in the shortest way there is.
bool reference(std::string_view pattern, std::string_view name) {
  if (pattern.empty())
    return name.empty();
  if (pattern.front() == '*')
    return reference(pattern.substr(1), name) ||
           (!name.empty() && reference(pattern, name.substr(1)));
  return !name.empty() && pattern.front() == name.front() &&
         reference(pattern.substr(1), name.substr(1));
}

access_rules rules_of(std::string_view text) {
  std::size_t line = 0;
  std::string why;
  auto parsed = access_rules::parse(text, line, why);
  INFO(line << ": " << why);
  REQUIRE(parsed);
  return *parsed;
}

using names = std::vector<std::string>;

} // namespace

TEST_CASE("patterns agree with the plainest matcher on random words") {
  std::mt19937 source{1992};
  for (int round = 0; round < 50'000; ++round) {
    std::string pattern;
    std::string name;
    for (auto i = source() % 7; i > 0; --i)
      pattern += "ab*"[source() % 3];
    for (auto i = source() % 8; i > 0; --i)
      name += "ab"[source() % 2];
    INFO(pattern << " " << name);
    REQUIRE(matches(pattern, name) == reference(pattern, name));
  }
  // What makes careless matchers take for ever.
  CHECK_FALSE(matches(std::string(40, 'a') + "*a*a*a*a*a*a*a*a*b", std::string(255, 'a')));
}

TEST_CASE("nothing is allowed that no rule allows") {
  const auto rules = rules_of("# lance access 1\n"
                              "token:shop produce orders,orders-*\n"
                              "cert:spiffe://reports/nightly consume *\n"
                              "* consume public-*\n"
                              "token:root all *\n");
  const names shop{"token:shop"};
  CHECK(rules.allow(shop, right::produce, "orders"));
  CHECK(rules.allow(shop, right::produce, "orders-eu"));
  CHECK_FALSE(rules.allow(shop, right::produce, "order"));
  CHECK_FALSE(rules.allow(shop, right::consume, "orders"));
  CHECK(rules.allow(shop, right::consume, "public-news"));
  CHECK_FALSE(rules.allow(shop, right::admin, "orders"));
  CHECK(rules.allow_any(shop, "orders"));
  CHECK_FALSE(rules.allow_any(shop, "secret"));
  const names both{"cert:orders.example", "cert:spiffe://reports/nightly"};
  CHECK(rules.allow(both, right::consume, "orders"));
  CHECK_FALSE(rules.allow(both, right::produce, "orders"));
  for (const auto which : {right::produce, right::consume, right::group, right::admin}) {
    CHECK(rules.allow(names{"token:root"}, which, "anything"));
    CHECK_FALSE(rules.allow(names{}, which, "public-news")); // `*` is everybody, not nobody
    CHECK_FALSE(access_rules{}.allow(names{"token:root"}, which, "anything"));
  }
  // Names are compared as they are: no prefix, no pattern in them.
  for (const auto* other : {"token:sho", "token:shopp", "token:*", "*", "cert:shop", "TOKEN:shop"})
    CHECK_FALSE(rules.allow(names{other}, right::produce, "orders"));
}

TEST_CASE("rules go to text and back") {
  const auto rules = rules_of("token:a produce,consume x,y*\n* group *\ntoken:b all *\n");
  CHECK(rules_of(rules.text()).rules() == rules.rules());
  auto fewer = rules;
  CHECK(fewer.remove("token:a") == 1);
  CHECK(fewer.remove("token:a") == 0);
  CHECK_FALSE(fewer.allow(names{"token:a"}, right::produce, "x"));
}

TEST_CASE("what is no rule is refused with its line and a sentence") {
  const auto refused = [](const std::string& text, std::size_t at) {
    std::size_t line = 0;
    std::string why;
    const auto parsed = access_rules::parse(text, line, why);
    CHECK_FALSE(parsed);
    CHECK(line == at);
    CHECK_FALSE(why.empty());
  };
  refused("# lance access 2\n", 1);
  refused("\ntoken:a produce\n", 2);
  refused("token:a produce x more\n", 1);
  refused("token:a fly x\n", 1);
  refused("token:a produce, x\n", 1);
  refused("token: produce x\n", 1);
  refused("shop produce x\n", 1);
  refused("token:a produce x/y\n", 1);
  refused("token:a produce x,,y\n", 1);
}

} // namespace lance::cluster
