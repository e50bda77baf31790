#include "cluster/batch_copies.hpp"

#include <catch2/catch.hpp>

#include "cluster/control_entry.hpp"
#include "storage/batch_header.hpp"

using namespace lance;
using namespace lance::cluster;

namespace {

const membership three{{node_id{1}, node_id{2}, node_id{3}}, {}};

// Batches 5 and 6 of term 2, a membership as 7 of term 3, and the append that carries them.
struct carried {
  carried() {
    add(5, term{2}, as_bytes(std::string_view{"one"}), 0);
    add(6, term{2}, as_bytes(std::string_view{"two, and more"}), storage::batch_flag::castagnoli);
    const auto control = encode(control_batch{three});
    add(7, term{3}, control, storage::batch_flag::control);
    sent.from = batch_number{5};
    sent.end = batch_number{8};
    sent.runs = {{batch_number{5}, term{2}}, {batch_number{7}, term{3}}};
    sent.memberships = {{batch_number{7}, three}};
  }

  void add(std::uint64_t number, term in_term, byte_view payload, std::uint16_t flags) {
    storage::batch_header header;
    header.flags = flags;
    header.log = log_id{9};
    header.number = batch_number{number};
    header.in_term = in_term;
    header.payload_length = static_cast<std::uint32_t>(payload.size());
    header.payload_crc = wire::checksum(header.payload_sum(), payload);
    header.key = {1000 + number, number};
    header.append_time_ns = 1000 + number;
    std::vector<std::byte> image(header.image_bytes());
    storage::encode(header, 0, image.data());
    std::ranges::copy(payload, image.begin() + storage::batch_header_bytes);
    begins.push_back(bytes.size());
    bytes.insert(bytes.end(), image.begin(), image.end());
  }
  errc error() const {
    const auto taken = take_copies(log_id{9}, sent, bytes);
    return taken ? errc{} : taken.error().code;
  }

  append sent;
  std::vector<std::byte> bytes;
  std::vector<std::size_t> begins;
};

} // namespace

TEST_CASE("batches are taken apart") {
  const carried here;
  const auto taken = take_copies(log_id{9}, here.sent, here.bytes);
  REQUIRE(taken);
  REQUIRE(taken->size() == 3);
  CHECK((*taken)[1].number == batch_number{6});
  CHECK((*taken)[1].header.data() == here.bytes.data() + here.begins[1]);
  CHECK((*taken)[1].payload.size() == 13);
}

TEST_CASE("an append without batches carries none") {
  carried here;
  here.sent.end = here.sent.from;
  CHECK(here.error() == errc::bad_format); // but bytes
  here.bytes.clear();
  CHECK(here.error() == errc{});
}

TEST_CASE("batches that are not what the append says are refused") {
  carried here;
  SECTION("of another log") {
    CHECK(take_copies(log_id{8}, here.sent, here.bytes).error().code == errc::bad_format);
  }
  SECTION("other numbers") {
    here.sent.from = batch_number{4};
    here.sent.runs[0].first = batch_number{4};
    CHECK(here.error() == errc::bad_format);
  }
  SECTION("another term") {
    here.sent.runs[1].in_term = term{4};
    CHECK(here.error() == errc::bad_format);
  }
  SECTION("no term at all") {
    here.sent.runs.clear();
    CHECK(here.error() == errc::bad_format);
  }
  SECTION("a membership that is not told") {
    here.sent.memberships.clear();
    CHECK(here.error() == errc::bad_format);
  }
  SECTION("a membership that is another") {
    here.sent.memberships[0].members.learners.push_back(node_id{4});
    CHECK(here.error() == errc::bad_format);
  }
  SECTION("a membership where there is none") {
    here.sent.memberships.insert(here.sent.memberships.begin(), {batch_number{6}, three});
    CHECK(here.error() == errc::bad_format);
  }
  SECTION("a control batch of a newer build") {
    here.bytes.resize(here.begins[2]);
    here.add(7, term{3}, as_bytes(std::string_view{"\x09\x01"}), storage::batch_flag::control);
    CHECK(here.error() == errc::unsupported);
  }
  SECTION("bytes left over") {
    here.bytes.push_back({});
    CHECK(here.error() == errc::bad_format);
  }
}

TEST_CASE("every byte of a payload and every cut is noticed") {
  const carried here;
  for (std::size_t size = 0; size < here.bytes.size(); ++size)
    REQUIRE_FALSE(take_copies(log_id{9}, here.sent, byte_view{here.bytes}.first(size)));
  for (std::size_t batch = 0; batch < 3; ++batch) {
    auto turned = here;
    turned.bytes[here.begins[batch] + storage::batch_header_bytes] ^= std::byte{1};
    REQUIRE(turned.error() != errc{});
  }
}
