#include "client/record.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::client;

namespace {

std::vector<std::byte> encoded(framing form, std::optional<std::string_view> key,
                               std::string_view value) {
  std::vector<std::byte> out;
  const auto key_bytes = key ? std::optional{as_bytes(*key)} : std::nullopt;
  encode_record(out, form, key_bytes, as_bytes(value));
  CHECK(out.size() == encoded_bytes(form, key_bytes, as_bytes(value)));
  return out;
}

} // namespace

TEST_CASE("a value is a record of type 01, byte for byte") {
  CHECK(as_text(encoded(framing::records, std::nullopt, "hello")) ==
        std::string_view{"\x01\x05\0\0\0hello", 10});
}

TEST_CASE("a keyed value is a record of type 10, byte for byte") {
  CHECK(as_text(encoded(framing::records, "k1", "v")) ==
        std::string_view{"\x10\x05\0\0\0\x02\0k1v", 10});
}

TEST_CASE("raw values are their bytes") {
  CHECK(as_text(encoded(framing::raw, std::nullopt, "x\0y")) == "x");
}

TEST_CASE("keys and values come back") {
  for (const std::string_view key : {"", "k", "a longer key"}) {
    const auto bytes = encoded(framing::records, key, "the value");
    const auto found = wire::tlv_reader{bytes}.next();
    REQUIRE(found);
    const auto back = decode_record(*found);
    REQUIRE(back.key);
    CHECK(as_text(*back.key) == key);
    CHECK(as_text(back.value) == "the value");
    CHECK(back.type == record_type::keyed);
  }
}

TEST_CASE("a payload is records only when all of it is") {
  auto good = encoded(framing::records, std::nullopt, "a");
  encode_record(good, framing::records, as_bytes("k"), as_bytes("v"));
  CHECK(count_records(good) == 2);
  CHECK(count_records({}) == 0);

  auto torn = good;
  torn.pop_back();
  CHECK_FALSE(count_records(torn));
  auto other_type = good;
  other_type[0] = std::byte{0x02};
  CHECK_FALSE(count_records(other_type));
  auto key_too_long = encoded(framing::records, "k", "v");
  key_too_long[5] = std::byte{200};
  CHECK_FALSE(count_records(key_too_long));
  CHECK_FALSE(count_records(as_bytes("just some text that is no record")));
}
