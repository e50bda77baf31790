#include "client/cli/text.hpp"

#include <random>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "client/cli/json_record.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::cli;

namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  append_hex(out, as_bytes(bytes));
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out;
  append_base64(out, as_bytes(bytes));
  return out;
}

} // namespace

TEST_CASE("UTF-8 is told from other bytes") {
  for (const std::string_view good : {"", "plain ascii, longer than a word", "äöü", "\xe2\x82\xac",
                                      "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    CHECK(valid_utf8(as_bytes(good)));
  for (const std::string_view bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                     "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                     "\xe2\x82", "\xff", "text then \xfe", "\xc3(", "12345678\xc3"})
    CHECK_FALSE(valid_utf8(as_bytes(bad)));
}

TEST_CASE("what JSON demands is escaped") {
  std::string out;
  append_json_string(out, "say \"hi\" \\ \n\r\t\x01\x1f ä");
  CHECK(out == R"("say \"hi\" \\ \n\r\t\u0001\u001f ä")");
  CHECK(nlohmann::json::parse(out) == "say \"hi\" \\ \n\r\t\x01\x1f ä");
}

TEST_CASE("hexadecimal and base64 are the usual ones") {
  CHECK(hex(std::string_view{"\x00\x7f\xff", 3}) == "007fff");
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
}

TEST_CASE("base64 comes back, other text does not") {
  const std::uint64_t seed = 99;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  for (std::size_t length = 0; length < 100; ++length) {
    std::string bytes(length, '\0');
    for (auto& byte : bytes)
      byte = static_cast<char>(random());
    const auto back = parse_base64(base64(bytes));
    REQUIRE(back);
    CHECK(as_text(*back) == bytes);
  }
  for (const auto* text : {"Zg", "Zg=", "Z===", "Z!==", "Zg==Zg==", "=", "===="})
    CHECK_FALSE(parse_base64(text));
}

TEST_CASE("a record is one line of JSON") {
  record what;
  what.value = as_bytes("{\"a\": 1}");
  what.offset = byte_offset{13};
  what.number = record_number{1};
  what.time_ns = 5;
  std::string line;
  append_json_record(line, "t", 2, what);
  CHECK(line == "{\"topic\":\"t\",\"partition\":2,\"offset\":13,\"record\":1,\"time_ns\":5,"
                "\"value\":\"{\\\"a\\\": 1}\"}\n");

  what.number.reset();
  what.time_ns = 0;
  what.key = as_bytes("k");
  what.value = as_bytes("\xff");
  line.clear();
  append_json_record(line, "t", 0, what);
  CHECK(line == "{\"topic\":\"t\",\"partition\":0,\"offset\":13,\"key\":\"k\","
                "\"value_base64\":\"/w==\"}\n");
}

TEST_CASE("whatever the bytes, a record's JSON gives them back") {
  const std::uint64_t seed = 1234;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  for (int n = 0; n < 500; ++n) {
    std::string value(random() % 30, '\0');
    std::string key(random() % 10, '\0');
    const unsigned most = n % 2 == 0 ? 0x7f : 0xff; // text, or anything
    for (auto* text : {&value, &key})
      for (auto& byte : *text)
        byte = static_cast<char>(random() % (most + 1));
    record what;
    what.value = as_bytes(value);
    if (n % 3 != 0)
      what.key = as_bytes(key);
    std::string line;
    append_json_record(line, "t", 0, what);
    const auto back = parse_json_record(line);
    REQUIRE(back);
    CHECK(as_text(back->value) == value);
    CHECK(back->key.has_value() == what.key.has_value());
    if (back->key)
      CHECK(as_text(*back->key) == key);
  }
}

TEST_CASE("lines that are no records are refused") {
  for (const auto* line : {"", "text", "[]", "{}", "{\"value\":1}", "{\"value\":\"a\",\"key\":2}",
                           "{\"value_base64\":\"!\"}", "{\"value\":\"a\""})
    CHECK_FALSE(parse_json_record(line));
}
