#include "wire/batch_commands.hpp"

#include <array>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

// The golden examples of wire/README.md, "Extension".
constexpr auto lookup_hex = "2a00000003000000"
                            "15cd853dfe9c9717";
constexpr auto lookup_reply_hex = "0010000000000000"
                                  "6400000000000000"
                                  "15cd853dfe9c9717";
constexpr auto fetch_hex = "2a00000000000000"
                           "0010000000000000"
                           "0000010064000000"
                           "0100000000000000";
constexpr auto batches_hex = "0f10000000000000"
                             "6400000000000000"
                             "0020000000000000"
                             "0200000000000000"
                             // first batch: two records, ten bytes
                             "0010000000000000"
                             "6400000000000000"
                             "15cd853dfe9c9717"
                             "020000000a000000"
                             // second batch: one record, five bytes
                             "0a10000000000000"
                             "6600000000000000"
                             "16cd853dfe9c9717"
                             "0100000005000000"
                             // their payloads
                             "30313233343536373839"
                             "6162636465";

constexpr batches_head golden_head{byte_offset{4111}, record_number{100}, byte_offset{8192}, 2};
constexpr batch_entry golden_first{byte_offset{4096}, record_number{100}, 1'700'000'000'123'456'789,
                                   2, 10};
constexpr batch_entry golden_second{byte_offset{4106}, record_number{102},
                                    1'700'000'000'123'456'790, 1, 5};

template <class Decode>
void check_short(Decode decode, const buffer& payload) {
  for (std::size_t length = 0; length < payload.size(); ++length) {
    const exact_copy input{byte_view{payload}.first(length)};
    const auto decoded = decode(input.view());
    REQUIRE_FALSE(decoded);
    REQUIRE(decoded.error().code == errc::invalid_request);
  }
  auto longer = payload;
  longer.push_back(std::byte{1});
  CHECK(decode(longer));
}

} // namespace

TEST_CASE("offset lookup has its golden bytes") {
  const offset_lookup_request request{log_id{42}, lookup_kind::time_ns, 1'700'000'000'123'456'789};
  const auto payload = from_hex(lookup_hex);
  CHECK(to_hex(encode(request)) == lookup_hex);
  CHECK(decode_offset_lookup(payload) == request);
  check_short(decode_offset_lookup, payload);

  const offset_lookup_reply reply{byte_offset{4096}, record_number{100}, 1'700'000'000'123'456'789};
  const auto answer = from_hex(lookup_reply_hex);
  CHECK(to_hex(encode(reply)) == lookup_reply_hex);
  CHECK(decode_offset_reply(answer) == reply);
  check_short(decode_offset_reply, answer);
}

TEST_CASE("a lookup of an unknown kind is refused, reserved bytes are not looked at") {
  auto payload = from_hex(lookup_hex);
  payload[5] = std::byte{0xff};
  CHECK(decode_offset_lookup(payload));
  payload[4] = std::byte{4};
  CHECK(decode_offset_lookup(payload).error().code == errc::invalid_request);
}

TEST_CASE("who produces has its golden bytes") {
  const auto nobody = from_hex("00000000000000000000000000000000");
  CHECK(decode_producer(nobody) == producer_identity{});
  const auto named_hex = std::string{"efcdab89674523010000000000000000"};
  const producer_identity named{0x0123456789abcdef, 0};
  CHECK(to_hex(encode(named)) == named_hex);
  CHECK(decode_producer(from_hex(named_hex)) == named);
  const producer_identity later{7, 0x01020304};
  CHECK(to_hex(encode(later)) == "07000000000000000403020100000000");
  CHECK(decode_producer(encode(later)) == later);
  check_short(decode_producer, from_hex(named_hex));
  // An epoch is somebody's.
  CHECK(decode_producer(from_hex("00000000000000000100000000000000")).error().code ==
        errc::invalid_request);
}

TEST_CASE("fetch batches has its golden bytes") {
  const fetch_batches_request request{log_id{42}, byte_offset{4096}, 65'536, 100, 1};
  const auto payload = from_hex(fetch_hex);
  CHECK(to_hex(encode(request)) == fetch_hex);
  CHECK(decode_fetch_batches(payload) == request);
  check_short(decode_fetch_batches, payload);
}

TEST_CASE("fetch batches refuses flags it does not know and waits too long for a client") {
  auto payload = from_hex(fetch_hex);
  payload[4] = std::byte{1};
  CHECK(decode_fetch_batches(payload).error().code == errc::invalid_request);
  const fetch_batches_request patient{log_id{1}, byte_offset{0}, 1, fetch_wait_ms_max, 1};
  CHECK(decode_fetch_batches(encode(patient)) == patient);
  auto too_patient = patient;
  ++too_patient.max_wait_ms;
  CHECK(decode_fetch_batches(encode(too_patient)).error().code == errc::invalid_request);
}

TEST_CASE("a batches reply has its golden bytes") {
  CHECK(to_hex(encode(golden_head)) + to_hex(encode(golden_first)) + to_hex(encode(golden_second)) +
            to_hex(as_bytes("0123456789")) + to_hex(as_bytes("abcde")) ==
        batches_hex);

  const auto payload = from_hex(batches_hex);
  auto batches = batches_view::decode(payload);
  REQUIRE(batches);
  CHECK(batches->head() == golden_head);
  const auto first = batches->next();
  REQUIRE(first);
  CHECK(first->entry == golden_first);
  CHECK(as_text(first->payload) == "0123456789");
  const auto second = batches->next();
  REQUIRE(second);
  CHECK(second->entry == golden_second);
  CHECK(as_text(second->payload) == "abcde");
  CHECK_FALSE(batches->next());
  CHECK_FALSE(batches->next());
  check_short(batches_view::decode, payload);
}

TEST_CASE("a batches reply may be empty") {
  const batches_head head{byte_offset{7}, record_number{3}, byte_offset{7}, 0};
  auto batches = batches_view::decode(encode(head));
  REQUIRE(batches);
  CHECK(batches->head() == head);
  CHECK_FALSE(batches->next());
}

TEST_CASE("a batch count or length beyond the bytes is refused") {
  auto payload = from_hex(batches_hex);
  payload[24] = std::byte{3};
  CHECK(batches_view::decode(payload).error().code == errc::invalid_request);
  payload[27] = std::byte{0xff};
  CHECK(batches_view::decode(payload).error().code == errc::invalid_request);
  payload = from_hex(batches_hex);
  store_le<std::uint32_t>(payload.data() + batches_head_bytes + 28, 0xffffffff);
  CHECK(batches_view::decode(payload).error().code == errc::invalid_request);
}

TEST_CASE("the largest ingest payload fits into a reply of its own") {
  STATIC_REQUIRE(batches_reply_bytes_max ==
                 payload_bytes_max + batches_head_bytes + batch_entry_bytes);
}

TEST_CASE("random and mutated batch commands are decoded within their bounds") {
  random_source random{"batch command mutations"};
  const std::array golden{from_hex(batches_hex), from_hex(fetch_hex), from_hex(lookup_hex),
                          from_hex(lookup_reply_hex)};
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = round % 5 == 0 ? random.bytes(random.up_to(100))
                                : golden[static_cast<std::size_t>(round % 4)];
    random.mutate(bytes);
    const exact_copy input{bytes};
    const auto view = input.view();
    REQUIRE(decode_offset_reply(view).has_value() == (view.size() >= 24));
    if (decode_offset_lookup(view))
      REQUIRE(view.size() >= 16);
    if (const auto request = decode_fetch_batches(view))
      REQUIRE(request->max_wait_ms <= fetch_wait_ms_max);
    auto batches = batches_view::decode(view);
    std::size_t used = batches_head_bytes;
    std::uint32_t count = 0;
    for (auto batch = batches ? batches->next() : std::nullopt; batch; batch = batches->next()) {
      used += batch_entry_bytes + batch->payload.size();
      ++count;
    }
    if (batches) {
      REQUIRE(count == batches->head().batch_count);
      REQUIRE(used <= view.size());
    }
  }
}
