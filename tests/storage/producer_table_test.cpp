#include "storage/producer_table.hpp"

#include <limits>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"

using namespace lance;
using namespace lance::storage;
using verdict = producer_verdict;

namespace {

verdict judged(const producer_table& table, std::uint64_t producer, std::uint32_t epoch,
               std::uint64_t sequence) {
  return table.judge({producer, epoch, sequence}).verdict;
}

producer_snapshot example() {
  producer_snapshot what{log_id{5}, batch_number{100}, {}};
  what.table.appended({7, 2, 3}, batch_number{50}, 11);
  what.table.appended({3, 0, 9}, batch_number{99}, 12);
  return what;
}

std::vector<std::byte> encoded(const producer_snapshot& what) {
  return encode_producers(what.log, what.end, what.table);
}

} // namespace

TEST_CASE("a producer's batches are taken once each, in order") {
  producer_table table;
  CHECK(judged(table, 7, 0, 1) == verdict::fresh);
  table.appended({7, 0, 1}, batch_number{10}, 1);
  CHECK(judged(table, 7, 0, 1) == verdict::duplicate);
  CHECK(judged(table, 7, 0, 2) == verdict::fresh);
  CHECK(judged(table, 7, 0, 3) == verdict::gap);
  CHECK(judged(table, 7, 0, 0) == verdict::gap);
  table.appended({7, 0, 2}, batch_number{15}, 2);
  const auto again = table.judge({7, 0, 1});
  CHECK(again.verdict == verdict::duplicate);
  CHECK(again.newest == batch_number{15}); // what the first one repeats lies before it
  CHECK(table.find(7) == producer_row{{7, 0, 2}, batch_number{15}, 2});
}

TEST_CASE("a later epoch begins anew and fences the earlier ones off") {
  producer_table table;
  table.appended({7, 1, 5}, batch_number{10}, 1);
  CHECK(judged(table, 7, 0, 6) == verdict::stale);
  CHECK(judged(table, 7, 0, 1) == verdict::stale);
  CHECK(judged(table, 7, 2, 6) == verdict::gap);
  CHECK(judged(table, 7, 2, 1) == verdict::fresh);
  table.appended({7, 2, 1}, batch_number{11}, 1);
  CHECK(judged(table, 7, 1, 6) == verdict::stale);
  CHECK(judged(table, 7, 2, 1) == verdict::duplicate);
}

TEST_CASE("who is not known begins with the first batch, and nobody's batches are always taken") {
  producer_table table;
  CHECK(judged(table, 9, 0, 2) == verdict::unknown);
  CHECK(judged(table, 0, 0, 0) == verdict::fresh);
  CHECK(judged(table, 0, 3, 77) == verdict::fresh);
  table.appended({0, 3, 77}, batch_number{10}, 1);
  CHECK(table.size() == 0);
}

TEST_CASE("the last number there is has no successor") {
  constexpr auto last = std::numeric_limits<std::uint64_t>::max();
  producer_table table;
  table.appended({7, 0, last}, batch_number{10}, 1);
  CHECK(judged(table, 7, 0, last) == verdict::duplicate);
  CHECK(judged(table, 7, 0, 0) == verdict::gap);
  CHECK(judged(table, 7, 0, 1) == verdict::duplicate);
}

TEST_CASE("a full table forgets only who has been silent for long") {
  producer_table table;
  const std::uint64_t now = 10 * producer_table::keep_ns;
  for (std::uint64_t i = 1; i <= producer_table::rows_max; ++i) {
    REQUIRE(table.make_room({i, 0, 1}, now));
    table.appended({i, 0, 1}, batch_number{i}, i <= 10 ? now - producer_table::keep_ns - 1 : now);
  }
  CHECK(table.make_room({5'000, 0, 2}, now)); // is known
  CHECK(table.make_room({0, 0, 0}, now));
  CHECK(table.size() == producer_table::rows_max);
  CHECK(table.make_room({1'000'000, 0, 1}, now));
  CHECK(table.size() == producer_table::rows_max - 10);
  for (std::uint64_t i = 0; i < 10; ++i)
    table.appended({1'000'000 + i, 0, 1}, batch_number{1}, now);
  CHECK(table.make_room({2'000'000, 0, 1}, now).error().code == errc::exhausted);
  CHECK(table.make_room({2'000'000, 0, 1}, 0).error().code == errc::exhausted); // a clock set back
  CHECK(table.size() == producer_table::rows_max);
}

TEST_CASE("a cut that takes somebody's newest batch calls for a new table") {
  producer_table table;
  CHECK(table.survives_cut(batch_number{1}));
  table.appended({7, 0, 1}, batch_number{10}, 1);
  CHECK(table.survives_cut(batch_number{11}));
  CHECK_FALSE(table.survives_cut(batch_number{10}));
}

TEST_CASE("whatever is sent again, and in whatever epoch, stands in the log once and in order") {
  wire::test::random_source random{"producers"};
  producer_table table;
  std::map<std::uint64_t, std::map<std::uint32_t, std::uint64_t>> last; // by producer and epoch
  std::set<std::tuple<std::uint64_t, std::uint32_t, std::uint64_t>> stored;
  std::uint64_t number = 1;
  for (int i = 0; i < 20'000; ++i) {
    const producer_stamp stamp{1 + random.up_to(4), static_cast<std::uint32_t>(random.up_to(2)),
                               random.up_to(40)};
    const auto said = table.judge(stamp);
    const auto key = std::tuple{stamp.producer, stamp.epoch, stamp.sequence};
    if (said.verdict == verdict::fresh) {
      CHECK(stored.insert(key).second);
      CHECK(stamp.sequence == last[stamp.producer][stamp.epoch] + 1);
      last[stamp.producer][stamp.epoch] = stamp.sequence;
      table.appended(stamp, batch_number{number++}, 1);
    } else if (said.verdict == verdict::duplicate) {
      CHECK(stored.contains(key));
    } else if (said.verdict != verdict::stale) {
      CHECK_FALSE(stored.contains(key)); // nothing that is here is refused but for its epoch
    }
  }
  CHECK(stored.size() > 100);
}

TEST_CASE("a table as bytes has its layout, and comes back") {
  const auto bytes = encoded(example());
  REQUIRE(bytes.size() == 24 + 2 * 40 + 4);
  CHECK(as_text(byte_view{bytes}.first(6)) == "LNCPRD");
  CHECK(load_le<std::uint32_t>(bytes.data() + 8) == 5);
  CHECK(load_le<std::uint32_t>(bytes.data() + 12) == 2);
  CHECK(load_le<std::uint64_t>(bytes.data() + 16) == 100);
  CHECK(load_le<std::uint64_t>(bytes.data() + 24) == 3); // ascending by producer
  CHECK(load_le<std::uint64_t>(bytes.data() + 32) == 9);
  CHECK(load_le<std::uint64_t>(bytes.data() + 40) == 99);
  CHECK(load_le<std::uint64_t>(bytes.data() + 48) == 12);
  CHECK(load_le<std::uint32_t>(bytes.data() + 56) == 0);
  const auto back = decode_producers(bytes);
  REQUIRE(back);
  CHECK(back->log == log_id{5});
  CHECK(back->end == batch_number{100});
  CHECK(back->table == example().table);
  CHECK(decode_producers(encode_producers(log_id{1}, batch_number{1}, {}))->table.size() == 0);
}

TEST_CASE("a table that is cut, changed or contradicts itself is none") {
  const auto good = encoded(example());
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(decode_producers(byte_view{good}.first(size)));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    CHECK_FALSE(decode_producers(bytes));
  }
  auto behind = example();
  behind.end = batch_number{99};
  CHECK_FALSE(decode_producers(encoded(behind)));
}
