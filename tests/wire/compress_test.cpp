#include "wire/compress.hpp"

#include <array>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

errc fault_of(byte_view envelope, std::uint32_t limit = original_bytes_max) {
  buffer out{std::byte{1}};
  const auto opened = decompress(envelope, limit, out);
  REQUIRE_FALSE(opened);
  CHECK(out.empty());
  return opened.error().code;
}

// Text-like: long enough runs to compress, different enough to test matches.
buffer compressible(random_source& random, std::size_t size) {
  buffer bytes;
  const auto word = random.bytes(12);
  while (bytes.size() < size)
    bytes.push_back(random.up_to(9) == 0 ? static_cast<std::byte>(random.up_to(255))
                                         : word[bytes.size() % word.size()]);
  return bytes;
}

} // namespace

TEST_CASE("golden envelopes are opened") {
  for (const auto& vector : vectors().at("compression").at("vectors")) {
    INFO(vector.at("name"));
    const auto envelope = bytes_of(vector.at("framed_hex"));
    const auto plain = bytes_of(vector.at("plain_hex"));
    const auto head = read_envelope(envelope);
    REQUIRE(head);
    CHECK(static_cast<std::uint64_t>(head->algorithm) == number(vector.at("algorithm")));
    CHECK(head->original_size == plain.size());
    buffer out;
    REQUIRE(decompress(envelope, original_bytes_max, out));
    CHECK(out == plain);
  }
}

TEST_CASE("golden rejects are refused") {
  const auto& rejects = vectors().at("compression").at("rejects");
  CHECK(fault_of(bytes_of(named(rejects, "too_short").at("framed_hex"))) == errc::invalid_request);
  CHECK(fault_of(bytes_of(named(rejects, "size_over_limit").at("framed_hex"))) == errc::too_large);
}

TEST_CASE("what is packed comes out again") {
  random_source random{"compress round trips"};
  for (const std::size_t size : {0, 1, 5, 255, 256, 4096, 70'000}) {
    const auto plain = compressible(random, size);
    for (const auto& envelope : {encode_lz4(plain), encode_zstd(plain)}) {
      REQUIRE(envelope);
      buffer out;
      REQUIRE(decompress(*envelope, original_bytes_max, out));
      CHECK(out == plain);
      if (size >= 4096)
        CHECK(envelope->size() < plain.size());
    }
  }
}

TEST_CASE("sixteen MiB fit, and one byte more does not") {
  const buffer plain(original_bytes_max, std::byte{0x5a});
  const auto envelope = encode_lz4(plain);
  REQUIRE(envelope);
  buffer out;
  REQUIRE(decompress(*envelope, original_bytes_max, out));
  CHECK(out == plain);
  CHECK(fault_of(*envelope, original_bytes_max - 1) == errc::too_large);
}

TEST_CASE("a span takes exactly what is claimed") {
  const auto plain = buffer(300, std::byte{7});
  const auto envelope = encode_zstd(plain);
  REQUIRE(envelope);
  buffer out(301, std::byte{1});
  const auto opened = decompress(*envelope, original_bytes_max, byte_span{out});
  REQUIRE(opened);
  CHECK(*opened == 300);
  CHECK(out[299] == std::byte{7});
  CHECK(out[300] == std::byte{1});
  const auto refused = decompress(*envelope, original_bytes_max, byte_span{out}.first(299));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::too_large);
}

TEST_CASE("claims that do not hold are refused") {
  CHECK(fault_of(from_hex("0301000000")) == errc::unsupported);
  CHECK(fault_of(from_hex("00050000006162636465"
                          "66")) == errc::invalid_request);                 // longer body
  CHECK(fault_of(from_hex("000500000061626364")) == errc::invalid_request); // shorter body
  auto lz4 =
      bytes_of(named(vectors().at("compression").at("vectors"), "lz4_with_match").at("framed_hex"));
  for (const std::size_t place : {1U, 5U}) { // either of the two sizes alone
    auto changed = lz4;
    changed[place] = std::byte{0x41};
    CHECK(fault_of(changed) == errc::invalid_request);
  }
  auto longer = lz4; // both sizes: the block does not unfold to that
  longer[1] = longer[5] = std::byte{0x41};
  CHECK(fault_of(longer) == errc::invalid_request);
  auto shorter = lz4;
  shorter[1] = shorter[5] = std::byte{0x3f};
  CHECK(fault_of(shorter) == errc::invalid_request);
}

TEST_CASE("nine bytes cannot claim sixteen MiB") {
  CHECK(fault_of(from_hex("010000000100000001"
                          "00")) == errc::invalid_request);
}

TEST_CASE("a zstd frame that unfolds to more or less than claimed is refused") {
  const auto plain = buffer(1000, std::byte{7});
  auto envelope = encode_zstd(plain).value();
  store_le<std::uint32_t>(envelope.data() + 1, 999);
  CHECK(fault_of(envelope) == errc::invalid_request);
  store_le<std::uint32_t>(envelope.data() + 1, 1001);
  CHECK(fault_of(envelope) == errc::invalid_request);
}

TEST_CASE("mutated envelopes never give more than claimed") {
  random_source random{"compress mutations"};
  const auto plain = compressible(random, 500);
  const std::array envelopes{encode_lz4(plain).value(), encode_zstd(plain).value()};
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = envelopes[static_cast<std::size_t>(round % 2)];
    random.mutate(bytes);
    const exact_copy input{bytes};
    buffer out;
    const auto opened = decompress(input.view(), 4096, out);
    if (opened)
      REQUIRE(out.size() == read_envelope(input.view())->original_size);
    else
      REQUIRE(out.empty());
  }
}
