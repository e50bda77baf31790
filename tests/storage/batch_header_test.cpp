#include "storage/batch_header.hpp"

#include <array>

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::storage;

namespace {

batch_header example() {
  batch_header header;
  header.flags = batch_flag::starts_segment | batch_flag::castagnoli;
  header.log = log_id{0x11223344};
  header.number = batch_number{0x0102030405060708};
  header.in_term = term{9};
  header.offset = byte_offset{1'000'000};
  header.first_record = record_number{5000};
  header.record_count = 17;
  header.payload_length = 4096;
  header.payload_crc = 0xdeadbeef;
  header.producer_epoch = 3;
  header.key = wire::sort_key::make(1'700'000'000'000'000'000, node_id{2}, 1, 5);
  header.append_time_ns = 1'700'000'000'000'000'001;
  header.producer_id = 77;
  header.producer_sequence = 78;
  return header;
}

using header_bytes = std::array<std::byte, batch_header_bytes>;

} // namespace

TEST_CASE("a batch header comes back as it was written", "[batch_header]") {
  auto header = example();
  header_bytes bytes{};
  encode(header, 0xabcdef01, bytes.data());
  const auto back = decode(bytes);
  REQUIRE(back);
  CHECK(*back == header);
  CHECK(chained(bytes, 0xabcdef01));
  CHECK_FALSE(chained(bytes, 0xabcdef02));
}

TEST_CASE("the fields of a batch header lie where the page says", "[batch_header]") {
  auto header = example();
  header_bytes bytes{};
  encode(header, 1, bytes.data());
  const auto* at = bytes.data();
  CHECK(load_le<std::uint8_t>(at) == 0);
  CHECK(load_le<std::uint32_t>(at + 1) == 107);
  CHECK(load_le<std::uint8_t>(at + 5) == 1);
  CHECK(load_le<std::uint16_t>(at + 6) == header.flags);
  CHECK(load_le<std::uint32_t>(at + 8) == header.header_crc);
  CHECK(load_le<std::uint32_t>(at + 12) == 0x11223344);
  CHECK(load_le<std::uint64_t>(at + 16) == 0x0102030405060708);
  CHECK(load_le<std::uint64_t>(at + 24) == 9);
  CHECK(load_le<std::uint64_t>(at + 32) == 1'000'000);
  CHECK(load_le<std::uint64_t>(at + 40) == 5000);
  CHECK(load_le<std::uint32_t>(at + 48) == 17);
  CHECK(load_le<std::uint32_t>(at + 52) == 4096);
  CHECK(load_le<std::uint32_t>(at + 56) == 0xdeadbeef);
  CHECK(load_le<std::uint32_t>(at + 60) == 3);
  CHECK(load_le<std::uint64_t>(at + 64) == header.key.high);
  CHECK(load_le<std::uint64_t>(at + 72) == header.key.low);
  CHECK(load_le<std::uint64_t>(at + 80) == header.append_time_ns);
  CHECK(load_le<std::uint64_t>(at + 88) == 77);
  CHECK(load_le<std::uint64_t>(at + 96) == 78);
  CHECK(load_le<std::uint64_t>(at + 104) == 0);
}

TEST_CASE("no flipped bit of a batch header goes unseen", "[batch_header]") {
  auto header = example();
  header_bytes bytes{};
  encode(header, 7, bytes.data());
  for (std::size_t bit = 0; bit < batch_header_bytes * 8; ++bit) {
    auto broken = bytes;
    broken[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const bool passes = decode(broken).has_value() && chained(broken, 7);
    INFO("bit " << bit);
    CHECK_FALSE(passes);
  }
}

TEST_CASE("a header is judged before its length is believed", "[batch_header]") {
  auto header = example();
  header_bytes bytes{};
  encode(header, 7, bytes.data());
  CHECK(decode(byte_view{bytes}.first(111)).error().code == errc::incomplete);
  store_le(bytes.data() + 52, static_cast<std::uint32_t>(max_payload_bytes + 1));
  CHECK(decode(bytes).error().code == errc::bad_format);
}

TEST_CASE("the seed of a segment's chain names log and batch", "[batch_header]") {
  CHECK(chain_seed(log_id{1}, batch_number{1}) != chain_seed(log_id{2}, batch_number{1}));
  CHECK(chain_seed(log_id{1}, batch_number{1}) != chain_seed(log_id{1}, batch_number{2}));
}

TEST_CASE("control batches take no offsets", "[batch_header]") {
  auto header = example();
  CHECK(header.end_offset().value == header.offset.value + 4096);
  header.flags |= batch_flag::control;
  CHECK(header.end_offset() == header.offset);
  CHECK(header.image_bytes() == 112 + 4096);
}
