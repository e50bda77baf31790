#include "actors/frame_assembler.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

#include "actors/limits.hpp"
#include "runtime/types.hpp"
#include "tests/wire/random.hpp"

namespace lance::actors {
namespace {

using wire::checksum_kind;
using wire::frame_header_bytes;
using random_source = wire::test::random_source;
using bytes = std::vector<std::byte>;

struct seen_frame {
  wire::frame_header header;
  bytes payload;
  friend bool operator==(const seen_frame&, const seen_frame&) = default;
};

/// Pool, budget and an assembler on them.
struct bench {
  explicit bench(std::uint32_t buffers, std::uint32_t limit = 16 * MiB,
                 std::size_t buffer_bytes = 65536)
      : pool(runtime::buffer_pool::make({.count = buffers, .buffer_bytes = buffer_bytes}).value()),
        budget(*pool, buffers), assembler(std::make_unique<frame_assembler>(limit, budget)),
        count(buffers) {}
  [[nodiscard]] bool holds_nothing() const { return pool->lent() == 0 && budget.left() == count; }

  std::unique_ptr<runtime::buffer_pool> pool;
  assembly_budget budget;
  std::unique_ptr<frame_assembler> assembler;
  std::uint32_t count;
};

bytes frame_of(checksum_kind kind, std::uint64_t batch_id, byte_view payload) {
  bytes made(frame_header_bytes + payload.size());
  wire::encode_frame(wire::ingest_header(log_id{5}, batch_id, 77, 3), kind, payload, made);
  return made;
}

void append(bytes& to, byte_view what) {
  to.insert(to.end(), what.begin(), what.end());
}

/// A stream of frames of the given payload sizes.
bytes stream_of(random_source& random, checksum_kind kind, const std::vector<std::size_t>& sizes) {
  bytes made;
  std::uint64_t number = 0;
  for (const auto size : sizes)
    append(made, frame_of(kind, ++number, random.bytes(size)));
  return made;
}

/// Feeds one buffer's bytes; adds what frames come out. The last step is returned.
assembly feed(frame_assembler& assembler, byte_view& part, std::vector<seen_frame>& out) {
  for (;;) {
    const auto step = assembler.next(part);
    if (step != assembly::frame)
      return step;
    seen_frame seen{assembler.header(), {}};
    for (const auto piece : assembler.pieces())
      append(seen.payload, piece);
    out.push_back(std::move(seen));
    assembler.handed_on();
  }
}

std::vector<seen_frame> cut(const bytes& stream, const std::vector<std::size_t>& parts,
                            std::uint32_t buffers = 64) {
  bench it(buffers);
  std::vector<seen_frame> out;
  std::size_t at = 0;
  for (const auto size : parts) {
    const bytes copy(stream.begin() + static_cast<std::ptrdiff_t>(at),
                     stream.begin() + static_cast<std::ptrdiff_t>(at + size)); // ends where it ends
    byte_view rest{copy};
    const auto step = feed(*it.assembler, rest, out);
    REQUIRE(step == assembly::need_more);
    REQUIRE(rest.empty());
    at += size;
  }
  REQUIRE(at == stream.size());
  CHECK_FALSE(it.assembler->torn());
  CHECK(it.holds_nothing());
  return out;
}

} // namespace

TEST_CASE("a frame torn at any byte is the frame that was sent", "[frame_assembler]") {
  const auto kind = GENERATE(checksum_kind::iso_hdlc, checksum_kind::castagnoli);
  random_source random{"assembler every byte"};
  const auto stream = stream_of(random, kind, {10, 0, 1, 90});
  const auto whole = cut(stream, {stream.size()});
  REQUIRE(whole.size() == 4);
  CHECK(whole[0].payload.size() == 10);
  CHECK(whole[3].header.batch_id == 4);
  for (std::size_t at = 1; at < stream.size(); ++at) {
    CAPTURE(at);
    CHECK(cut(stream, {at, stream.size() - at}) == whole);
  }
  CHECK(cut(stream, std::vector<std::size_t>(stream.size(), 1)) == whole);
}

TEST_CASE("frames torn over many buffers are the frames that were sent", "[frame_assembler]") {
  const auto kind = GENERATE(checksum_kind::iso_hdlc, checksum_kind::castagnoli);
  random_source random{"assembler many buffers"};
  for (int round = 0; round < 60; ++round) {
    std::vector<std::size_t> sizes{
        small_frame_bytes - 1, small_frame_bytes, small_frame_bytes + 1, 65536, 65537, 131072};
    for (int i = 0; i < 8; ++i)
      sizes.push_back(random.up_to(random.up_to(1) == 0 ? 300 : 300'000));
    std::shuffle(sizes.begin(), sizes.end(), std::mt19937_64{random.up_to(1'000'000)});
    const auto stream = stream_of(random, kind, sizes);
    std::vector<std::size_t> parts;
    const auto most = random.up_to(2) == 0 ? 700 : 70'000;
    for (std::size_t left = stream.size(); left > 0; left -= parts.back())
      parts.push_back(std::min<std::size_t>(left, 1 + random.up_to(most)));
    const auto whole = cut(stream, {stream.size()});
    REQUIRE(whole.size() == sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i)
      REQUIRE(whole[i].payload.size() == sizes[i]);
    CHECK(cut(stream, parts) == whole);
  }
}

TEST_CASE("a frame in one buffer is shown where it lies", "[frame_assembler]") {
  bench it(4);
  const bytes payload(20'000, std::byte{3});
  const auto frame = frame_of(checksum_kind::iso_hdlc, 1, payload);
  byte_view rest{frame};
  REQUIRE(it.assembler->next(rest) == assembly::frame);
  CHECK(it.assembler->in_place());
  REQUIRE(it.assembler->pieces().size() == 1);
  CHECK(it.assembler->pieces().front().data() == frame.data() + frame_header_bytes);
  CHECK(it.holds_nothing());
}

TEST_CASE("the sum the peer opened with holds for its life", "[frame_assembler]") {
  bench it(4);
  CHECK(it.assembler->kind() == checksum_kind::iso_hdlc);
  std::vector<seen_frame> out;
  const auto first = frame_of(checksum_kind::castagnoli, 1, as_bytes("one"));
  byte_view rest{first};
  CHECK(feed(*it.assembler, rest, out) == assembly::need_more);
  CHECK(it.assembler->kind() == checksum_kind::castagnoli);
  const auto other = frame_of(checksum_kind::iso_hdlc, 2, as_bytes("two"));
  rest = other;
  CHECK(feed(*it.assembler, rest, out) == assembly::fault);
  CHECK(it.assembler->fault() == wire::verdict::bad_header_crc);
}

TEST_CASE("a header that claims much holds nothing before its bytes come", "[frame_assembler]") {
  bench it(512);
  wire::frame_header claim = wire::ingest_header(log_id{1}, 1, 1, 1);
  claim.payload_length = 16 * MiB;
  bytes header(frame_header_bytes);
  wire::encode_header(claim, checksum_kind::iso_hdlc, header.data());
  byte_view rest{header};
  CHECK(it.assembler->next(rest) == assembly::need_more);
  CHECK(it.assembler->torn());
  CHECK(it.holds_nothing());
  const bytes few(small_frame_bytes);
  rest = few;
  CHECK(it.assembler->next(rest) == assembly::need_more);
  CHECK(it.holds_nothing());
  rest = byte_view{few}.first(1);
  CHECK(it.assembler->next(rest) == assembly::need_more);
  CHECK(it.budget.left() == 512 - 256); // reserved as a whole
  CHECK(it.pool->lent() == 1);          // taken as it comes
  it.assembler.reset();
  CHECK(it.holds_nothing());
}

TEST_CASE("torn frames wait for room and go on", "[frame_assembler]") {
  bench it(4, 1 * MiB, 8192);
  frame_assembler second{1 * MiB, it.budget};
  random_source random{"assembler room"};
  const auto large = random.bytes(30'000); // all four buffers
  const auto other = random.bytes(20'000); // three
  const auto first_frame = frame_of(checksum_kind::iso_hdlc, 1, large);
  const auto second_frame = frame_of(checksum_kind::iso_hdlc, 2, other);
  std::vector<seen_frame> out;

  byte_view first_rest = byte_view{first_frame}.first(10'000);
  REQUIRE(feed(*it.assembler, first_rest, out) == assembly::need_more);
  byte_view second_rest = byte_view{second_frame}.first(15'000);
  REQUIRE(feed(second, second_rest, out) == assembly::no_memory);
  for (int i = 0; i < 3; ++i) { // asked again too early: nothing changes
    const auto left = second_rest.size();
    REQUIRE(feed(second, second_rest, out) == assembly::no_memory);
    REQUIRE(second_rest.size() == left);
  }
  first_rest = byte_view{first_frame}.subspan(10'000);
  REQUIRE(it.assembler->next(first_rest) == assembly::frame);

  SECTION("once the first frame was handed on") {
    it.assembler->handed_on();
    CHECK(it.holds_nothing());
  }
  SECTION("also while its buffers are still with whom they were handed to") {
    auto handed = std::move(it.assembler->buffers());
    it.assembler->handed_on();
    CHECK(it.budget.left() == 4);
    REQUIRE(it.pool->lent() == 4);
    REQUIRE(feed(second, second_rest, out) == assembly::no_memory);
    handed.clear();
  }
  REQUIRE(feed(second, second_rest, out) == assembly::need_more);
  second_rest = byte_view{second_frame}.subspan(15'000);
  REQUIRE(feed(second, second_rest, out) == assembly::need_more);
  REQUIRE(out.size() == 1);
  CHECK(out[0].header.batch_id == 2);
  CHECK(out[0].payload == other);
  CHECK(it.holds_nothing());
}

TEST_CASE("bytes that are no frame end the connection", "[frame_assembler]") {
  const bool torn = GENERATE(false, true);
  const std::size_t size = GENERATE(100, 50'000);
  CAPTURE(torn, size);
  random_source random{"assembler faults"};
  const auto good = frame_of(checksum_kind::iso_hdlc, 1, random.bytes(size));
  const auto verdict_of = [&](const bytes& frame, std::uint32_t limit) {
    bench it(8, limit);
    std::vector<seen_frame> out;
    const auto first = torn ? 1 + random.up_to(frame.size() - 2) : frame.size();
    const auto copy = bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(first));
    byte_view rest{copy};
    auto step = feed(*it.assembler, rest, out);
    if (step == assembly::need_more && torn) {
      rest = byte_view{frame}.subspan(first);
      step = feed(*it.assembler, rest, out);
    }
    CHECK(step == assembly::fault);
    CHECK(out.empty());
    const auto fault = it.assembler->fault();
    it.assembler.reset();
    CHECK(it.holds_nothing());
    return fault;
  };
  auto bad = good;
  bad[1] ^= std::byte{1};
  CHECK(verdict_of(bad, 1 * MiB) == wire::verdict::bad_magic);
  bad = good;
  bad[4] ^= std::byte{1};
  CHECK(verdict_of(bad, 1 * MiB) == wire::verdict::bad_version);
  bad = good;
  bad[9] ^= std::byte{1};
  CHECK(verdict_of(bad, 1 * MiB) == wire::verdict::bad_header_crc);
  bad = good;
  bad.back() ^= std::byte{1};
  CHECK(verdict_of(bad, 1 * MiB) == wire::verdict::bad_payload_crc);
  CHECK(verdict_of(good, static_cast<std::uint32_t>(size - 1)) == wire::verdict::too_large);
}

} // namespace lance::actors
