#include "wire/frame.hpp"

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

constexpr auto limit = payload_bytes_max;

frame_header header_of(const json& fields) {
  return {.flags = fields.at("flags").get<std::uint8_t>(),
          .batch_id = number(fields.at("batch_id")),
          .timestamp_ns = number(fields.at("timestamp_ns")),
          .record_count = static_cast<std::uint32_t>(number(fields.at("record_count"))),
          .topic_id = static_cast<std::uint32_t>(number(fields.at("topic_id")))};
}

buffer encoded(const frame_header& header, checksum_kind kind, byte_view payload) {
  buffer out(frame_header_bytes + payload.size());
  CHECK(encode_frame(header, kind, payload, out) == out.size());
  return out;
}

void check_both_ways(const json& vector, checksum_kind kind, const char* key) {
  const auto payload = bytes_of(vector.at("payload_hex"));
  const auto frame = bytes_of(vector.at(key));
  const auto header = header_of(vector.at("fields"));
  CHECK(to_hex(encoded(header, kind, payload)) == to_hex(frame));

  frame_cutter cutter{limit};
  const auto cut = cutter.next(frame);
  REQUIRE(cut.outcome == verdict::ok);
  CHECK(cut.consumed == frame.size());
  CHECK(cut.header == seal(header, kind, payload));
  CHECK(cut.header.payload_length == number(vector.at("fields").at("payload_length")));
  CHECK(to_hex(cut.payload) == to_hex(payload));
  CHECK(cutter.kind() == kind);
}

buffer reject(const char* name) {
  return bytes_of(named(vectors().at("rejects"), name).at("frame_hex"));
}

verdict verdict_of(byte_view bytes) {
  return frame_cutter{limit}.next(bytes).outcome;
}

buffer stream_of_all_vectors(const char* key) {
  buffer stream;
  for (const auto& vector : vectors().at("frames"))
    for (const auto byte : bytes_of(vector.at(key)))
      stream.push_back(byte);
  return stream;
}

} // namespace

TEST_CASE("golden frames are written and read byte for byte") {
  for (const auto& vector : vectors().at("frames")) {
    INFO(vector.at("name"));
    check_both_ways(vector, checksum_kind::iso_hdlc, "frame_hex");
    check_both_ways(vector, checksum_kind::castagnoli, "frame_hex_if_crc32c");
    buffer header(frame_header_bytes);
    encode_header(seal(header_of(vector.at("fields")), checksum_kind::iso_hdlc,
                       bytes_of(vector.at("payload_hex"))),
                  checksum_kind::iso_hdlc, header.data());
    CHECK(to_hex(header) == text(vector.at("header_hex")));
  }
}

TEST_CASE("small replies have their own helpers") {
  const auto hex = [](const char* name) {
    return text(named(vectors().at("frames"), name).at("frame_hex"));
  };
  constexpr auto kind = checksum_kind::iso_hdlc;
  CHECK(to_hex(encoded(ack_header(54321), kind, {})) == hex("ack_54321"));
  CHECK(to_hex(encoded(keepalive_header(), kind, {})) == hex("keepalive"));
  CHECK(to_hex(encoded(backpressure_header(), kind, {})) == hex("backpressure"));
  CHECK(to_hex(encoded(ingest_header(log_id{7}, 0x0102030405060708, 1700000000123456789, 2), kind,
                       frame_payload("ingest_tlv2_topic7"))) == hex("ingest_tlv2_topic7"));
}

TEST_CASE("broken frames get the verdict that closes the connection") {
  CHECK(verdict_of(reject("bad_magic")) == verdict::bad_magic);
  CHECK(verdict_of(reject("version_2")) == verdict::bad_version);
  CHECK(verdict_of(reject("header_crc_flipped")) == verdict::bad_header_crc);
  CHECK(verdict_of(reject("payload_crc_flipped")) == verdict::bad_payload_crc);
  CHECK(verdict_of(reject("payload_byte_flipped")) == verdict::bad_payload_crc);
  CHECK(verdict_of(reject("payload_length_over_16MiB")) == verdict::too_large);
}

TEST_CASE("what no checksum covers is accepted") {
  CHECK(verdict_of(reject("reserved_nonzero_valid_crc")) == verdict::ok);
  const auto damaged = reject("batch_id_not_covered");
  const auto cut = frame_cutter{limit}.next(damaged);
  CHECK(cut.outcome == verdict::ok);
  CHECK(cut.header.batch_id == 0xfe);
}

TEST_CASE("faults are seen as early as the bytes allow") {
  const auto bad_magic = reject("bad_magic");
  CHECK(verdict_of(byte_view{bad_magic}.first(1)) == verdict::bad_magic);
  const auto hello_of_tls = from_hex("160301");
  CHECK(verdict_of(hello_of_tls) == verdict::bad_magic);
  const auto late_fault = from_hex("4c414e58");
  CHECK(verdict_of(byte_view{late_fault}.first(3)) == verdict::need_more);
  CHECK(verdict_of(late_fault) == verdict::bad_magic);

  const auto version = reject("version_2");
  CHECK(verdict_of(byte_view{version}.first(4)) == verdict::need_more);
  CHECK(verdict_of(byte_view{version}.first(5)) == verdict::bad_version);

  const auto sum = reject("header_crc_flipped");
  CHECK(verdict_of(byte_view{sum}.first(11)) == verdict::need_more);
  CHECK(verdict_of(byte_view{sum}.first(12)) == verdict::bad_header_crc);

  const auto large = reject("payload_length_over_16MiB");
  CHECK(verdict_of(byte_view{large}.first(35)) == verdict::need_more);
  CHECK(verdict_of(byte_view{large}.first(36)) == verdict::too_large);
}

TEST_CASE("the limit is the caller's, and includes itself") {
  const auto frame = bytes_of(named(vectors().at("frames"), "ingest_test").at("frame_hex"));
  CHECK(judge_header(frame, std::nullopt, 4).outcome == verdict::ok);
  CHECK(judge_header(frame, std::nullopt, 3).outcome == verdict::too_large);
}

TEST_CASE("a connection keeps the checksum its first header used") {
  const auto& vector = named(vectors().at("frames"), "ingest_test");
  const auto iso = bytes_of(vector.at("frame_hex"));
  const auto castagnoli = bytes_of(vector.at("frame_hex_if_crc32c"));
  frame_cutter cutter{limit};
  CHECK(cutter.kind() == checksum_kind::iso_hdlc);
  REQUIRE(cutter.next(castagnoli).outcome == verdict::ok);
  CHECK(cutter.kind() == checksum_kind::castagnoli);
  CHECK(cutter.next(castagnoli).outcome == verdict::ok);
  CHECK(cutter.next(iso).outcome == verdict::bad_header_crc);
  CHECK(frame_cutter{limit, checksum_kind::iso_hdlc}.next(castagnoli).outcome ==
        verdict::bad_header_crc);
}

TEST_CASE("an empty payload needs no sum") {
  auto header = ack_header(1);
  header.payload_crc = 0x12345678;
  buffer frame(frame_header_bytes);
  encode_header(header, checksum_kind::iso_hdlc, frame.data());
  CHECK(verdict_of(frame) == verdict::ok);
}

TEST_CASE("frames are classified by the first match") {
  CHECK(classify(0xff, 1) == frame_kind::control);
  CHECK(classify(0x3f, 1) == frame_kind::keepalive);
  CHECK(classify(0x1f, 1) == frame_kind::ack);
  CHECK(classify(0x17, 1) == frame_kind::backpressure);
  CHECK(classify(0x05, 0) == frame_kind::ingest);
  CHECK(classify(0x00, 1) == frame_kind::ingest);
  CHECK(classify(0x00, 0) == frame_kind::unknown);
  CHECK(classify(0x83, 0) == frame_kind::unknown);
}

TEST_CASE("frames split at every byte are cut the same") {
  for (const auto* key : {"frame_hex", "frame_hex_if_crc32c"}) {
    const auto stream = stream_of_all_vectors(key);
    frame_cutter cutter{limit};
    std::size_t begin = 0;
    std::size_t frames = 0;
    for (std::size_t end = 0; end <= stream.size(); ++end) {
      const exact_copy seen{byte_view{stream}.subspan(begin, end - begin)};
      const auto cut = cutter.next(seen.view());
      if (cut.outcome == verdict::need_more) {
        REQUIRE(cut.wanted > end - begin);
        REQUIRE(cut.consumed == 0);
        continue;
      }
      REQUIRE(cut.outcome == verdict::ok);
      REQUIRE(cut.consumed == end - begin);
      begin = end;
      ++frames;
    }
    CHECK(begin == stream.size());
    CHECK(frames == vectors().at("frames").size());
  }
}

TEST_CASE("random and mutated bytes are judged within their bounds") {
  random_source random{"frame mutations"};
  const auto stream = stream_of_all_vectors("frame_hex");
  for (int round = 0; round < 20'000; ++round) {
    buffer bytes = round % 4 == 0 ? random.bytes(random.up_to(120)) : stream;
    random.mutate(bytes);
    const exact_copy input{bytes};
    frame_cutter cutter{limit};
    auto rest = input.view();
    for (auto cut = cutter.next(rest); cut.outcome == verdict::ok; cut = cutter.next(rest)) {
      REQUIRE(cut.consumed == frame_header_bytes + cut.payload.size());
      REQUIRE(cut.consumed <= rest.size());
      rest = rest.subspan(cut.consumed);
    }
  }
}

TEST_CASE("any header survives writing and judging") {
  random_source random{"frame round trips"};
  for (int round = 0; round < 2'000; ++round) {
    const frame_header header{.flags = static_cast<std::uint8_t>(random.up_to(255)),
                              .batch_id = random.up_to(~std::uint64_t{0}),
                              .timestamp_ns = random.up_to(~std::uint64_t{0}),
                              .record_count = static_cast<std::uint32_t>(random.up_to(~0U)),
                              .topic_id = static_cast<std::uint32_t>(random.up_to(~0U))};
    const auto kind = static_cast<checksum_kind>(random.up_to(1));
    const auto payload = random.bytes(random.up_to(300));
    const auto frame = encoded(header, kind, payload);
    const auto cut = frame_cutter{limit}.next(frame);
    REQUIRE(cut.outcome == verdict::ok);
    REQUIRE(cut.header == seal(header, kind, payload));
  }
}
