#include "wire/control.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

constexpr std::uint64_t all_ones = ~std::uint64_t{0};

// Every length below `payload` is refused, the payload itself and longer ones are taken.
template <class Decode>
void check_length(Decode decode, const buffer& payload) {
  for (std::size_t length = 0; length < payload.size(); ++length) {
    const exact_copy input{byte_view{payload}.first(length)};
    const auto decoded = decode(input.view());
    REQUIRE_FALSE(decoded);
    REQUIRE(decoded.error().code == errc::invalid_request);
  }
  auto longer = payload;
  longer.resize(payload.size() + 3, std::byte{0xee});
  CHECK(decode(longer));
}

// Decodes a golden payload to `expected`, encodes it back to the same bytes.
template <class T, class Decode>
void check_fixed(const char* vector, Decode decode, const T& expected) {
  INFO(vector);
  const auto payload = frame_payload(vector);
  const auto decoded = decode(payload);
  REQUIRE(decoded);
  CHECK(*decoded == expected);
  CHECK(to_hex(encode(expected)) == to_hex(payload));
  check_length(decode, payload);
}

} // namespace

TEST_CASE("command codes are the published ones") {
  const auto& codes = vectors().at("commands");
  const auto is = [&](const char* name, command code) {
    CHECK(codes.at(name) == static_cast<unsigned>(code));
  };
  is("CreateTopic", command::create_topic);
  is("DeleteTopic", command::delete_topic);
  is("ListTopics", command::list_topics);
  is("GetTopic", command::get_topic);
  is("SetRetention", command::set_retention);
  is("CreateTopicWithRetention", command::create_topic_with_retention);
  is("GetClusterStatus", command::get_cluster_status);
  is("Authenticate", command::authenticate);
  is("AuthenticateResponse", command::authenticate_response);
  is("Fetch", command::fetch);
  is("FetchResponse", command::fetch_response);
  is("CatchingUp", command::catching_up);
  is("Subscribe", command::subscribe);
  is("Unsubscribe", command::unsubscribe);
  is("CommitOffset", command::commit_offset);
  is("SubscribeAck", command::subscribe_ack);
  is("CommitAck", command::commit_ack);
  is("TopicResponse", command::topic_response);
  is("ClusterStatusResponse", command::cluster_status_response);
  is("ErrorResponse", command::error_response);
  CHECK(codes.size() == 20);
}

TEST_CASE("a control header carries the code in its batch id") {
  for (const auto& vector : vectors().at("frames")) {
    if (!vector.contains("command_code"))
      continue;
    INFO(vector.at("name"));
    const auto frame = bytes_of(vector.at("frame_hex"));
    const auto said = judge_header(frame, std::nullopt, payload_bytes_max);
    REQUIRE(said.outcome == verdict::ok);
    CHECK(classify(said.header) == frame_kind::control);
    const auto code = command_of(said.header);
    CHECK(static_cast<unsigned>(code) == vector.at("command_code"));
    const auto payload = bytes_of(vector.at("payload_hex"));
    buffer written(frame_header_bytes + payload.size());
    encode_frame(control_header(code), checksum_kind::iso_hdlc, payload, written);
    CHECK(written == frame);
  }
  CHECK(command_of({.flags = flag::control, .batch_id = 0x1234567800000110}) == command::fetch);
}

TEST_CASE("golden requests with fixed layouts") {
  check_fixed("set_retention", decode_set_retention,
              set_retention_request{topic_id{1}, {86'400, 1 * GiB}});
  check_fixed("create_topic_with_retention", decode_create_with_retention,
              create_with_retention_request{"events", {86'400, 1 * GiB}});
  check_fixed("fetch", decode_fetch, fetch_request{log_id{5}, byte_offset{1024}, 32'768});
  check_fixed("fetch_tail", decode_fetch, fetch_request{log_id{5}, fetch_end_query, 1});
  check_fixed("subscribe", decode_subscribe,
              subscribe_request{log_id{42}, byte_offset{1000}, 65'536, 0xDEADBEEF12345678});
  check_fixed("unsubscribe", decode_unsubscribe,
              unsubscribe_request{log_id{7}, 0xCAFEBABE00000001});
  check_fixed("commit_offset", decode_commit_offset,
              commit_offset_request{log_id{99}, 0x1234567890ABCDEF, byte_offset{50'000}});
}

TEST_CASE("golden replies with fixed layouts") {
  check_fixed("subscribe_ack", decode_subscribe_ack,
              subscribe_ack{0xABCDEF0123456789, byte_offset{12'345}});
  check_fixed("commit_ack", decode_commit_ack, commit_ack{0xFEDCBA9876543210, byte_offset{99'999}});
  const auto payload = frame_payload("catching_up");
  CHECK(decode_catching_up(payload) == byte_offset{4096});
  CHECK(to_hex(encode_catching_up(byte_offset{4096})) == to_hex(payload));
  check_length(decode_catching_up, payload);
}

TEST_CASE("golden topic ids and names") {
  for (const auto* name : {"get_topic", "delete_topic"}) {
    const auto payload = frame_payload(name);
    CHECK(decode_topic_id(payload) == topic_id{1});
    CHECK(to_hex(encode_topic_id(topic_id{1})) == to_hex(payload));
    check_length(decode_topic_id, payload);
  }
  const auto create = frame_payload("create_topic");
  CHECK(decode_create_topic(create) == "my-events");
  CHECK(decode_create_topic({}).error().code == errc::invalid_name);
  CHECK(decode_create_topic(as_bytes("a b")).error().code == errc::invalid_name);
}

TEST_CASE("golden authentication") {
  const auto token = frame_payload("authenticate");
  CHECK(decode_authenticate(token) == "s3cr3t");

  for (const auto& [name, expected] :
       {std::pair{"authenticate_response_ok",
                  authenticate_reply{true, authenticate_text::accepted}},
        std::pair{"authenticate_response_fail",
                  authenticate_reply{false, authenticate_text::unknown_token}}}) {
    const auto payload = frame_payload(name);
    CHECK(decode_authenticate_reply(payload) == expected);
    CHECK(to_hex(encode(expected)) == to_hex(payload));
  }
  CHECK(decode_authenticate_reply({}).error().code == errc::invalid_request);
}

TEST_CASE("tokens that cannot be any are refused") {
  const auto fault = [](const buffer& token) { return decode_authenticate(token).error().code; };
  CHECK(fault({}) == errc::not_authenticated);
  CHECK(fault(buffer(token_bytes_max + 1, std::byte{'a'})) == errc::invalid_request);
  CHECK(decode_authenticate(buffer(token_bytes_max, std::byte{'a'})));
  for (const auto* bad : {"ff", "80", "c080", "e08080", "eda080", "f0808080", "f4908080",
                          "f5808080", "c3", "e282", "f09f98", "41c3", "c328"})
    CHECK(fault(from_hex(bad)) == errc::invalid_request);
  for (const auto* good : {"c3a9", "e282ac", "ed9fbf", "ee8080", "f09f9880", "f48fbfbf"})
    CHECK(decode_authenticate(from_hex(good)));
}

TEST_CASE("topic names are directories' names") {
  CHECK(valid_topic_name("my-events_2"));
  CHECK(valid_topic_name("00"));
  CHECK(valid_topic_name(std::string(255, 'a')));
  CHECK_FALSE(valid_topic_name(std::string(256, 'a')));
  using namespace std::string_view_literals;
  for (const auto bad : {""sv, "0"sv, "a/b"sv, "a\\b"sv, "a\0b"sv, "a b"sv, ".."sv, "\xc3\xa9"sv})
    CHECK_FALSE(valid_topic_name(bad));
}

TEST_CASE("a name longer than its payload is refused") {
  auto payload = frame_payload("create_topic_with_retention");
  payload[0] = std::byte{7}; // one byte more than is there, with the retention
  CHECK(decode_create_with_retention(payload).error().code == errc::invalid_request);
  payload[0] = std::byte{0};
  CHECK(decode_create_with_retention(payload).error().code == errc::invalid_name);
}

TEST_CASE("golden fetch replies") {
  const auto& fetch = vectors().at("fetch");
  buffer stream;
  for (const auto& segment : fetch.at("segment_files_hex"))
    for (const auto byte : bytes_of(segment))
      stream.push_back(byte);
  REQUIRE(stream.size() == number(fetch.at("total")));

  for (const auto& vector : fetch.at("cases")) {
    const auto start = number(vector.at("start_offset"));
    INFO("start " << start);
    const auto payload = bytes_of(vector.at("payload_hex"));
    if (vector.at("reply") == "CatchingUp") {
      CHECK(start > stream.size());
      CHECK(to_hex(encode_catching_up(byte_offset{stream.size()})) == to_hex(payload));
      CHECK(decode_catching_up(payload) == byte_offset{stream.size()});
      continue;
    }
    const auto from = std::min<std::uint64_t>(start, stream.size());
    const auto data = byte_view{stream}.subspan(from).first(
        std::min<std::uint64_t>(number(vector.at("max_bytes")), stream.size() - from));
    const auto head = fetch_head_for(byte_offset{from}, static_cast<std::uint32_t>(data.size()));
    CHECK(to_hex(encode(head)) + to_hex(data) == to_hex(payload));

    const auto reply = decode_fetch_reply(payload);
    REQUIRE(reply);
    CHECK(reply->head == head);
    CHECK(to_hex(reply->data) == to_hex(data));
    check_length(decode_fetch_reply, payload);
  }
  const auto reply = frame_payload("fetch_response");
  CHECK(to_hex(decode_fetch_reply(reply)->data) == "010100000041");
  const auto empty = frame_payload("fetch_response_empty_at_tail");
  CHECK(decode_fetch_reply(empty)->head == fetch_head_for(byte_offset{1024}, 0));
}

TEST_CASE("random and mutated control payloads are decoded within their bounds") {
  random_source random{"control mutations"};
  const auto& frames = vectors().at("frames");
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = bytes_of(frames[random.up_to(frames.size() - 1)].at("payload_hex"));
    random.mutate(bytes);
    const exact_copy input{bytes};
    const auto view = input.view();
    const bool long_enough = view.size() >= 16;
    REQUIRE(decode_fetch(view).has_value() == long_enough);
    REQUIRE(decode_subscribe_ack(view).has_value() == long_enough);
    REQUIRE(decode_commit_ack(view).has_value() == long_enough);
    REQUIRE(decode_set_retention(view).has_value() == (view.size() >= 20));
    REQUIRE(decode_commit_offset(view).has_value() == (view.size() >= 20));
    REQUIRE(decode_subscribe(view).has_value() == (view.size() >= 24));
    REQUIRE(decode_unsubscribe(view).has_value() == (view.size() >= 12));
    REQUIRE(decode_catching_up(view).has_value() == (view.size() >= 8));
    REQUIRE(decode_topic_id(view).has_value() == (view.size() >= 4));
    REQUIRE(decode_authenticate_reply(view).has_value() == !view.empty());
    if (const auto named = decode_create_with_retention(view))
      REQUIRE(valid_topic_name(named->name));
    if (const auto name = decode_create_topic(view))
      REQUIRE(valid_topic_name(*name));
    if (const auto reply = decode_fetch_reply(view))
      REQUIRE(reply->data.size() <= view.size() - fetch_head_bytes);
    if (const auto token = decode_authenticate(view))
      REQUIRE(token->size() == view.size());
  }
  CHECK(fetch_end_query.value == all_ones);
}
