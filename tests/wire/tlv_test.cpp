#include "wire/tlv.hpp"

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

tlv_header header_of(const json& vector, std::uint32_t length) {
  return {static_cast<std::uint8_t>(number(vector.at("type"))),
          vector.value("extended_type", std::uint16_t{0}), length};
}

buffer written_header(const tlv_header& header) {
  buffer out(tlv_extended_header_bytes);
  out.resize(encode_tlv_header(header, tlv_form::extended, out.data()));
  return out;
}

void check_header(const json& vector) {
  const auto length = static_cast<std::uint32_t>(number(vector.at("length")));
  const auto bytes = bytes_of(vector.at("bytes_hex"));
  CHECK(bytes.size() == number(vector.at("header_size")));
  CHECK(written_header(header_of(vector, length)) == bytes);

  auto whole = bytes; // the header alone is an incomplete record; with its value it is one
  tlv_reader torn{whole, tlv_form::extended};
  CHECK_FALSE(torn.next());
  CHECK(torn.state() == tlv_state::incomplete);
  whole.resize(bytes.size() + length);
  const auto record = tlv_reader{whole, tlv_form::extended}.next();
  REQUIRE(record);
  CHECK(record->header == header_of(vector, length));
}

void check_record(const json& vector) {
  const auto bytes = bytes_of(vector.at("bytes_hex"));
  const auto value = bytes_of(vector.at("value_hex"));
  const auto header = header_of(vector, static_cast<std::uint32_t>(value.size()));
  tlv_reader reader{bytes, tlv_form::extended};
  const auto record = reader.next();
  REQUIRE(record);
  CHECK(record->header == header);
  CHECK(to_hex(record->value) == to_hex(value));
  CHECK_FALSE(reader.next());
  CHECK(reader.state() == tlv_state::done);

  auto written = written_header(header);
  written.insert(written.end(), value.begin(), value.end());
  CHECK(written == bytes);
  if (header.type != tlv_type::extended) {
    buffer appended;
    append_record(appended, value, header.type);
    CHECK(appended == bytes);
  }
}

void check_stream(const json& vector) {
  const auto bytes = bytes_of(vector.at("bytes_hex"));
  const auto extent = measure_records(bytes);
  CHECK(extent.records == number(vector.at("records")));
  CHECK(extent.valid_bytes == number(vector.at("valid_bytes")));
  const auto torn = vector.value("torn_bytes", std::uint64_t{0});
  CHECK(bytes.size() - extent.valid_bytes == torn);
  CHECK(extent.state == (torn == 0 ? tlv_state::done : tlv_state::incomplete));
}

} // namespace

TEST_CASE("golden records are written and read") {
  for (const auto& vector : vectors().at("tlv")) {
    INFO(vector.at("name"));
    const auto kind = text(vector.at("kind"));
    if (kind == "header")
      check_header(vector);
    else if (kind == "record")
      check_record(vector);
    else
      check_stream(vector);
  }
}

TEST_CASE("two appended records are the golden ingest payload") {
  buffer payload;
  append_record(payload, as_bytes("hello"));
  append_record(payload, as_bytes("world"));
  CHECK(to_hex(payload) == to_hex(frame_payload("ingest_tlv2_topic7")));
}

TEST_CASE("a record that does not fit is not written") {
  buffer room(9, std::byte{0xaa});
  CHECK(write_record(room, as_bytes("hello")) == 0);
  CHECK(room == buffer(9, std::byte{0xaa}));
  room.resize(10);
  CHECK(write_record(room, as_bytes("hello")) == 10);
  CHECK(to_hex(room) == "010500000068656c6c6f");
}

TEST_CASE("type FF is five bytes to clients and seven to tools") {
  const auto bytes = from_hex("ff010003000000787878");
  CHECK(measure_records(bytes, tlv_form::extended).records == 1);
  const auto as_client = measure_records(bytes, tlv_form::standard);
  CHECK(as_client.records == 0); // five bytes announce 0x00030001 bytes of value
  CHECK(as_client.state == tlv_state::incomplete);
}

TEST_CASE("values above the limit are refused before their bytes are there") {
  const auto at_limit = from_hex("0100000001");
  CHECK(measure_records(at_limit).state == tlv_state::incomplete);
  const auto above = from_hex("0101000001");
  CHECK(measure_records(above).state == tlv_state::too_large);
  CHECK(measure_records(from_hex("010500000068656c6c6f"), tlv_form::standard, 4).state ==
        tlv_state::too_large);
}

TEST_CASE("an empty buffer is done") {
  const auto extent = measure_records({});
  CHECK(extent.records == 0);
  CHECK(extent.valid_bytes == 0);
  CHECK(extent.state == tlv_state::done);
}

TEST_CASE("every cut of a stream is incomplete or done, never more") {
  random_source random{"tlv cuts"};
  buffer stream;
  std::vector<std::size_t> ends{0};
  for (int record = 0; record < 30; ++record) {
    append_record(stream, random.bytes(random.up_to(20)),
                  static_cast<std::uint8_t>(random.up_to(0xfe)));
    ends.push_back(stream.size());
  }
  std::size_t whole = 0;
  for (std::size_t end = 0; end <= stream.size(); ++end) {
    if (whole + 1 < ends.size() && ends[whole + 1] == end)
      ++whole;
    const exact_copy input{byte_view{stream}.first(end)};
    const auto extent = measure_records(input.view());
    REQUIRE(extent.records == whole);
    REQUIRE(extent.valid_bytes == ends[whole]);
    REQUIRE(extent.state == (ends[whole] == end ? tlv_state::done : tlv_state::incomplete));
  }
}

TEST_CASE("random bytes are walked within their bounds") {
  random_source random{"tlv random"};
  for (int round = 0; round < 20'000; ++round) {
    buffer stream =
        round % 2 == 0 ? random.bytes(random.up_to(64)) : frame_payload("ingest_tlv2_topic7");
    random.mutate(stream);
    const exact_copy input{stream};
    for (const auto form : {tlv_form::standard, tlv_form::extended}) {
      const auto extent = measure_records(input.view(), form);
      REQUIRE(extent.valid_bytes <= stream.size());
      REQUIRE((extent.state == tlv_state::done) == (extent.valid_bytes == stream.size()));
    }
  }
}
