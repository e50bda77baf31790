#include "storage/log_start.hpp"

#include <catch2/catch.hpp>

#include "sim_disk.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

log_start some() {
  return {log_id{7},
          batch_number{0x0102030405060708},
          byte_offset{0x1112131415161718},
          record_number{0x2122232425262728},
          term{3},
          wire::sort_key::make(1'700'000'000'000'000'000, node_id{9}, 4, 77),
          1'700'000'000'000'000'123};
}

} // namespace

TEST_CASE("log.start has the layout of its page", "[log_start]") {
  const auto bytes = encode(some());
  CHECK(as_text(byte_view{bytes}.first(6)) == "LNCSTA");
  CHECK(bytes[7] == std::byte{1});
  CHECK(load_le<std::uint32_t>(bytes.data() + 8) == 7);
  CHECK(load_le<std::uint64_t>(bytes.data() + 16) == some().next_number.value);
  CHECK(load_le<std::uint64_t>(bytes.data() + 24) == some().next_offset.value);
  CHECK(load_le<std::uint64_t>(bytes.data() + 32) == some().next_record.value);
  CHECK(load_le<std::uint64_t>(bytes.data() + 40) == 3);
  CHECK(wire::decode_sort_key(bytes.data() + 48) == some().last_key);
  CHECK(load_le<std::uint64_t>(bytes.data() + 64) == some().last_time_ns);
  CHECK(*decode_log_start(bytes) == some());
}

TEST_CASE("log.start: every flipped bit and every wrong length is noticed", "[log_start]") {
  const auto good = encode(some());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    INFO("bit " << bit);
    CHECK_FALSE(decode_log_start(bad));
  }
  CHECK_FALSE(decode_log_start(byte_view{good}.first(79)));
  CHECK_FALSE(decode_log_start({}));
}

TEST_CASE("log.start is written whole or not at all", "[log_start]") {
  sim_disk door;
  REQUIRE(door.make_directories("data/segments/t/0"));
  const std::string home = "data/segments/t/0";
  CHECK(*read_log_start(door, home, log_id{7}) == std::nullopt);
  REQUIRE(write_log_start(door, home, some()));
  door.crash();
  CHECK(**read_log_start(door, home, log_id{7}) == some());
  CHECK(read_log_start(door, home, log_id{8}).error().code == errc::bad_format); // a stranger's
  door.overwrite(home + "/log.start", 20, as_bytes("x"));
  CHECK(read_log_start(door, home, log_id{7}).error().code == errc::bad_format);
  door.overwrite(home + "/log.start", 80, as_bytes("longer"));
  CHECK(read_log_start(door, home, log_id{7}).error().code == errc::bad_format);
}
