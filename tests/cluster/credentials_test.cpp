#include "cluster/credentials.hpp"

#include <catch2/catch.hpp>

namespace lance::cluster {
namespace {

token_row row(const std::string& name, std::string_view secret, std::uint64_t expires_s = 0) {
  return {name, runtime::hash_secret(as_bytes(secret)), 1000, expires_s};
}

token_verdict judge(const credentials& table, std::string_view secret, std::uint64_t now_s,
                    std::string* name = nullptr) {
  std::string found;
  const auto verdict = table.judge(as_bytes(secret), now_s, found);
  if (name != nullptr)
    *name = found;
  return verdict;
}

} // namespace

TEST_CASE("tokens are known by their hash until they expire") {
  credentials table;
  REQUIRE(table.add(row("shop", "s3cret")));
  REQUIRE(table.add(row("guest", "visit", 2000)));
  std::string name;
  CHECK(judge(table, "s3cret", 999'999, &name) == token_verdict::known);
  CHECK(name == "shop");
  CHECK(judge(table, "visit", 1999, &name) == token_verdict::known);
  CHECK(judge(table, "visit", 2000, &name) == token_verdict::expired);
  CHECK(name == "guest");
  for (const auto* wrong : {"", "s3cre", "s3crett", "S3cret"})
    CHECK(judge(table, wrong, 0) == token_verdict::unknown);
  CHECK(table.remove("shop"));
  CHECK_FALSE(table.remove("shop"));
  CHECK(judge(table, "s3cret", 0) == token_verdict::unknown);
}

TEST_CASE("names are unique and plain") {
  credentials table;
  REQUIRE(table.add(row("shop", "a")));
  CHECK(table.add(row("shop", "b")).error().code == errc::topic_exists);
  for (const auto* bad : {"", "a b", "a\n", "#a", "\xc3\xa4"})
    CHECK(table.add(row(bad, "c")).error().code == errc::invalid_name);
  CHECK(table.add(row(std::string(65, 'x'), "d")).error().code == errc::invalid_name);
  CHECK(table.add(row(std::string(64, 'x'), "d")));
}

TEST_CASE("the table goes to text and back, and the text holds no secret") {
  credentials table;
  REQUIRE(table.add(row("shop", "s3cret")));
  REQUIRE(table.add(row("guest.2", "visit", 2000)));
  const auto text = table.text();
  CHECK(text.find("s3cret") == std::string::npos);
  std::size_t line = 0;
  const auto again = credentials::parse(text, line);
  REQUIRE(again);
  CHECK(again->rows() == table.rows());
  CHECK(credentials::parse("\n  # a comment\n\n", line)->rows().empty());
}

TEST_CASE("what is no table is refused with its line") {
  const auto hash = runtime::to_hex(runtime::hash_secret({}));
  std::size_t line = 0;
  const auto code_of = [&](const std::string& text) {
    return credentials::parse(text, line).error().code;
  };
  CHECK(code_of("# lance tokens 2\n") == errc::unsupported);
  CHECK(code_of("# lance tokens 1\n\nshop " + hash + " 1\n") == errc::bad_format);
  CHECK(line == 3);
  CHECK(code_of("shop " + hash + " 1 0 more\n") == errc::bad_format);
  CHECK(code_of("shop " + hash + " -1 0\n") == errc::bad_format);
  CHECK(code_of("shop abc 1 0\n") == errc::bad_format);
  CHECK(code_of("a/b " + hash + " 1 0\n") == errc::bad_format);
  CHECK(code_of("shop " + hash + " 1 0\nshop " + hash + " 1 0\n") == errc::bad_format);
  CHECK(line == 2);
}

} // namespace lance::cluster
