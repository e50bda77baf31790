#include "wire/peer.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"
#include "wire/checksum.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

peer_hello example_hello() {
  peer_hello hello;
  hello.lane = peer_lane::bulk;
  hello.node = node_id{3};
  hello.incarnation = 7;
  hello.features = 5;
  hello.cluster.fill(std::byte{0xc1});
  hello.identity.fill(std::byte{0x1d});
  hello.cluster_name = "orders";
  hello.client_address = "10.0.0.3:1992";
  hello.rack = "b";
  return hello;
}

// wire/README.md, "Between nodes".
constexpr auto hello_golden =
    "01010100030000000700000000000000"
    "0500000000000000c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c11d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d"
    "066f72646572730d31302e302e302e333a313939320162";
constexpr auto refusal_golden = "026e6f74206f757220636c7573746572";

} // namespace

TEST_CASE("the greeting of a node has its layout") {
  const auto bytes = encode(example_hello());
  CHECK(to_hex(bytes) == hello_golden);
  const auto back = decode_peer_hello(from_hex(hello_golden));
  REQUIRE(back);
  CHECK(*back == example_hello());
}

TEST_CASE("a greeting that is cut, longer or out of its ranges is none") {
  const auto good = encode(example_hello());
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK(decode_peer_hello(byte_view{good}.first(size)).error().code == errc::bad_format);
  const auto changed = [&good](std::size_t at, int value) {
    auto bytes = good;
    bytes.at(at) = static_cast<std::byte>(value);
    return decode_peer_hello(bytes).has_value();
  };
  CHECK(changed(8, 9));
  CHECK_FALSE(changed(0, 2));   // begins behind its end
  CHECK_FALSE(changed(2, 2));   // no such lane
  CHECK_FALSE(changed(3, 1));   // a gap is zero
  CHECK_FALSE(changed(56, 0));  // a cluster has a name
  CHECK_FALSE(changed(56, 65)); // up to 64 bytes
  auto longer = good;
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_peer_hello(longer));
}

TEST_CASE("two nodes speak the newest version both know") {
  peer_hello old, young;
  old.version_min = 1, old.version_max = 3;
  young.version_min = 2, young.version_max = 5;
  CHECK(common_version(old, young) == 3);
  CHECK(common_version(young, old) == 3);
  young.version_min = 4;
  CHECK(common_version(old, young).error().code == errc::unsupported);
}

TEST_CASE("a refusal says why") {
  const peer_refusal refusal{refusal_reason::cluster, "not our cluster"};
  CHECK(to_hex(encode(refusal)) == refusal_golden);
  CHECK(decode_peer_refusal(from_hex(refusal_golden)) == refusal);
  CHECK_FALSE(decode_peer_refusal({}));
  CHECK_FALSE(decode_peer_refusal(from_hex("00")));
  CHECK_FALSE(decode_peer_refusal(from_hex("08")));
  CHECK(name_of(refusal_reason::incarnation) == "incarnation");
}

TEST_CASE("the header of a frame between nodes has its layout") {
  const buffer body = from_hex("0102030405");
  const auto head = encode_peer_header(peer_kind::append, body, 0x1234);
  CHECK(to_hex(head) == "4c4e4350011100000500000034120000ab8f51535e2fcb81");
  const auto judged = judge_peer_header(head, true);
  REQUIRE(judged);
  CHECK(judged->kind == peer_kind::append);
  CHECK(judged->body_bytes == 5);
  CHECK(judged->bulk_bytes == 0x1234);
  CHECK(holds(*judged, body));
  auto other = body;
  other[4] = std::byte{6};
  CHECK_FALSE(holds(*judged, other));
  CHECK_FALSE(holds(*judged, byte_view{body}.first(4)));
}

TEST_CASE("every bit of a header is looked at") {
  const auto head = encode_peer_header(peer_kind::messages, {}, 0);
  REQUIRE(judge_peer_header(head, true));
  for (std::size_t bit = 0; bit < head.size() * 8; ++bit) {
    auto bytes = head;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    CHECK(judge_peer_header(bytes, true).error().code == errc::bad_frame);
  }
}

TEST_CASE("a header promises no more than there may be") {
  // Longer frames cannot be made by our own function, so a good one is changed and summed again.
  const auto with = [](peer_kind kind, std::uint32_t body, std::uint32_t bulk, bool greeted) {
    auto head = encode_peer_header(kind, {}, 0);
    store_le(head.data() + 8, body);
    store_le(head.data() + 12, bulk);
    store_le(head.data() + 20, checksum(checksum_kind::castagnoli, byte_view{head}.first(20)));
    return judge_peer_header(head, greeted).has_value();
  };
  CHECK(with(peer_kind::messages, peer_body_bytes_max, 0, true));
  CHECK_FALSE(with(peer_kind::messages, peer_body_bytes_max + 1, 0, true));
  CHECK_FALSE(with(peer_kind::messages, 100, 1, true));
  CHECK(with(peer_kind::append, 100, peer_bulk_bytes_max, true));
  CHECK_FALSE(with(peer_kind::append, 100, peer_bulk_bytes_max + 1, true));
  CHECK(with(peer_kind::hello, peer_greeting_bytes_max, 0, false));
  CHECK_FALSE(with(peer_kind::hello, peer_greeting_bytes_max + 1, 0, false));
  CHECK_FALSE(with(peer_kind::messages, 0, 0, false));
  CHECK(with(peer_kind::refusal, 10, 0, false));
}
