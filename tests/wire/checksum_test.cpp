#include "wire/checksum.hpp"

#include <algorithm>
#include <array>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

std::uint32_t hex32(const json& value) {
  return static_cast<std::uint32_t>(std::stoul(text(value), nullptr, 16));
}

// The definition, bit by bit, to compare the quick ways with.
std::uint32_t by_definition(checksum_kind kind, byte_view bytes) {
  const std::uint32_t polynomial = kind == checksum_kind::iso_hdlc ? 0xEDB88320U : 0x82F63B78U;
  std::uint32_t crc = ~0U;
  for (const auto byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? polynomial : 0U);
  }
  return ~crc;
}

constexpr std::array both{checksum_kind::iso_hdlc, checksum_kind::castagnoli};

} // namespace

TEST_CASE("both checksums give the golden values") {
  const auto& crc = vectors().at("crc");
  for (const auto& [input, sum] : crc.at("wire_crc32_iso_hdlc").items())
    CHECK(checksum(checksum_kind::iso_hdlc, as_bytes(input)) == hex32(sum));
  for (const auto& [input, sum] : crc.at("crc32c_castagnoli").items())
    CHECK(checksum(checksum_kind::castagnoli, as_bytes(input)) == hex32(sum));
  const auto& check = crc.at("check_123456789");
  CHECK(checksum(checksum_kind::iso_hdlc, as_bytes("123456789")) == hex32(check.at("iso_hdlc")));
  CHECK(checksum(checksum_kind::castagnoli, as_bytes("123456789")) == hex32(check.at("crc32c")));
}

TEST_CASE("every length takes the same value whichever way is quickest for it") {
  random_source random{"checksum lengths"};
  const auto bytes = random.bytes(700);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    for (const auto kind : both) {
      const auto part =
          byte_view{bytes}.subspan(length % 8).first(std::min<std::size_t>(length, 690));
      REQUIRE(checksum(kind, part) == by_definition(kind, part));
    }
  const auto large = random.bytes(100'003);
  for (const auto kind : both)
    CHECK(checksum(kind, large) == by_definition(kind, large));
}

TEST_CASE("a sum may be made piece by piece, and is final after each") {
  random_source random{"checksum pieces"};
  const auto bytes = random.bytes(5000);
  for (const auto kind : both) {
    std::uint32_t running = 0;
    std::size_t done = 0;
    while (done < bytes.size()) {
      const auto step = std::min<std::size_t>(random.up_to(600), bytes.size() - done);
      running = checksum_update(kind, running, byte_view{bytes}.subspan(done, step));
      done += step;
      REQUIRE(running == checksum(kind, byte_view{bytes}.first(done)));
    }
  }
}

TEST_CASE("sums are combined without the bytes") {
  random_source random{"checksum combine"};
  const auto bytes = random.bytes(70'000);
  for (int round = 0; round < 200; ++round) {
    const auto whole = byte_view{bytes}.first(random.up_to(bytes.size()));
    const auto cut = random.up_to(whole.size());
    for (const auto kind : both)
      REQUIRE(combine(kind, checksum(kind, whole.first(cut)), checksum(kind, whole.subspan(cut)),
                      whole.size() - cut) == checksum(kind, whole));
  }
  CHECK(combine(checksum_kind::iso_hdlc, 0x12345678, 0, 0) == 0x12345678);
}

TEST_CASE("combining works for lengths no buffer has") {
  // Appending a and then b zero bytes is appending a + b of them.
  constexpr std::uint64_t a = 0x123456789abcU;
  constexpr std::uint64_t b = 0xfedcba987654321U;
  for (const auto kind : both)
    CHECK(combine(kind, combine(kind, 0xdeadbeef, 0, a), 0, b) ==
          combine(kind, 0xdeadbeef, 0, a + b));
}

TEST_CASE("header sums come from the table") {
  for (const auto& row : vectors().at("header_crc_by_flags")) {
    const auto flags = row.at("flags").get<std::uint8_t>();
    CHECK(header_checksum(checksum_kind::iso_hdlc, flags) == hex32(row.at("crc")));
    CHECK(header_checksum(checksum_kind::castagnoli, flags) == hex32(row.at("crc_if_crc32c")));
  }
  for (unsigned flags = 0; flags < 256; ++flags) {
    auto first8 = from_hex("4c414e4301000000");
    first8[5] = static_cast<std::byte>(flags);
    for (const auto kind : both)
      REQUIRE(header_checksum(kind, static_cast<std::uint8_t>(flags)) == checksum(kind, first8));
  }
}
