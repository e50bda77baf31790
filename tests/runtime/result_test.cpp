#include "runtime/result.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace lance;

namespace {

result<int> half(int number) {
  if (number % 2 != 0)
    return fail(errc::invalid_request, 22);
  return number / 2;
}

} // namespace

TEST_CASE("a result is a value or a reason") {
  CHECK(half(8).value() == 4);
  REQUIRE_FALSE(half(7).has_value());
  CHECK(half(7).error() == error{errc::invalid_request, 22});
  CHECK(result<>{}.has_value());
  CHECK(sizeof(error) == 8);
}

TEST_CASE("codes that travel have a word of their own and come back from it") {
  std::set<std::string_view> words;
  for (int code = 0x01; code <= 0x12; ++code) {
    const auto which = static_cast<errc>(code);
    const auto word = wire_code(which);
    CHECK(words.insert(word).second);
    CHECK(code_of_wire_word(word) == which);
    CHECK(describe(which) != "unknown error");
  }
}

TEST_CASE("codes that stay inside leave as INTERNAL") {
  for (int code = 0x80; code <= 0x88; ++code) {
    CHECK(wire_code(static_cast<errc>(code)) == "INTERNAL");
    CHECK(describe(static_cast<errc>(code)) != "unknown error");
  }
  CHECK(wire_code(errc::log_fenced) == "READ_ONLY"); // but for two, which are kinds of others
  CHECK(code_of_wire_word("READ_ONLY") == errc::read_only);
  CHECK(wire_code(errc::log_opening) == "FORWARD_FAILED");
  CHECK(code_of_wire_word("FORWARD_FAILED") == errc::forward_failed);
  CHECK(code_of_wire_word("NO_SUCH_WORD") == errc::internal);
  CHECK(describe(static_cast<errc>(0xfe)) == "unknown error");
}
