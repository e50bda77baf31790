#include "runtime/bytes.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdint>

#include "runtime/types.hpp"

using namespace lance;

TEST_CASE("numbers are little-endian and need no alignment") {
  std::array<std::byte, 12> memory{};
  store_le<std::uint32_t>(memory.data() + 1, 0x434e414c);
  CHECK(as_text({memory.data() + 1, 4}) == "LANC");
  CHECK(load_le<std::uint32_t>(memory.data() + 1) == 0x434e414c);
  store_le<std::uint64_t>(memory.data() + 3, 0x0102030405060708);
  CHECK(memory[3] == std::byte{8});
  CHECK(memory[10] == std::byte{1});
  CHECK(load_le<std::uint64_t>(memory.data() + 3) == 0x0102030405060708);
  CHECK(memory[11] == std::byte{0});
}

TEST_CASE("text and bytes are two views of the same memory") {
  const std::string text("a\0b", 3);
  CHECK(as_bytes(text).size() == 3);
  CHECK(as_text(as_bytes(text)) == text);
  CHECK(as_bytes("").empty());
}

TEST_CASE("rounding goes to the multiple below or above") {
  CHECK(align_up(0, 4096) == 0);
  CHECK(align_up(1, 4096) == 4096);
  CHECK(align_up(4096, 4096) == 4096);
  CHECK(align_down(4095, 4096) == 0);
  CHECK(align_down(8191, 4096) == 4096);
}

TEST_CASE("numbers of one kind compare; different kinds do not mix") {
  CHECK(term{3} < term{4});
  CHECK(byte_offset{7} == byte_offset{7});
  STATIC_REQUIRE_FALSE(std::is_convertible_v<term, byte_offset>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<std::uint64_t, term>);
}
