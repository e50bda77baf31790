#include "runtime/secret.hpp"

#include <set>

#include <catch2/catch.hpp>

namespace lance::runtime {

TEST_CASE("hashes are SHA-256, and go to text and back") {
  const auto hash = hash_secret(as_bytes(std::string_view{"abc"}));
  CHECK(to_hex(hash) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash_from_hex(to_hex(hash)) == hash);
  CHECK(to_hex(hash_secret({})) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (const auto* bad :
       {"", "ba78", "Ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ag"})
    CHECK_FALSE(hash_from_hex(bad));
}

TEST_CASE("equal secrets are the same, and a change anywhere is seen") {
  const auto hash = hash_secret(as_bytes(std::string_view{"secret"}));
  CHECK(same_secret(hash, hash));
  for (std::size_t i = 0; i < hash.size(); ++i) {
    auto other = hash;
    other[i] ^= std::byte{0x80};
    CHECK_FALSE(same_secret(hash, other));
  }
}

TEST_CASE("secrets are long, printable and never twice the same") {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto secret = make_secret();
    REQUIRE(secret);
    CHECK(secret->size() == 43);
    CHECK(secret->find_first_not_of(
              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
          std::string::npos);
    CHECK(seen.insert(*secret).second);
  }
}

} // namespace lance::runtime
