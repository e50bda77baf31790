// Which batches are safe, and who is slow.
#include "cluster/quorum.hpp"

#include <array>

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::cluster;

namespace {

std::uint64_t majority_of(std::vector<std::uint64_t> ends) {
  std::vector<batch_number> numbers;
  for (const auto each : ends)
    numbers.emplace_back(each);
  return majority_end(numbers).value;
}

} // namespace

TEST_CASE("a majority has everything below its end") {
  CHECK(majority_of({7}) == 7);
  CHECK(majority_of({7, 3}) == 3);
  CHECK(majority_of({7, 3, 5}) == 5);
  CHECK(majority_of({7, 3, 5, 6}) == 5);
  CHECK(majority_of({1, 1, 9, 9, 1}) == 1);
  CHECK(majority_of({1, 9, 9, 9, 1}) == 9);
}

TEST_CASE("an acknowledgement is late after a time, or five median flushes if that is longer") {
  const raft_options chosen;
  std::array<std::uint64_t, 3> quick{100'000, 0, 300'000};
  CHECK(late_after_ns(chosen, quick) == 10 * ms_in_ns);
  std::array<std::uint64_t, 3> slow{8 * ms_in_ns, 30 * ms_in_ns, 2 * ms_in_ns};
  CHECK(late_after_ns(chosen, slow) == 40 * ms_in_ns);
  std::array<std::uint64_t, 2> unknown{};
  CHECK(late_after_ns(chosen, unknown) == 10 * ms_in_ns);
}

TEST_CASE("three late ones in a row, and ten in time") {
  const raft_options chosen;
  pace one;
  CHECK_FALSE(one.late(chosen));
  CHECK_FALSE(one.late(chosen));
  CHECK_FALSE(one.in_time(chosen)); // not in a row any more
  CHECK_FALSE(one.late(chosen));
  CHECK_FALSE(one.late(chosen));
  CHECK_FALSE(one.evicted());
  CHECK(one.late(chosen));
  CHECK(one.evicted());
  for (int i = 0; i < 9; ++i)
    CHECK_FALSE(one.in_time(chosen));
  CHECK_FALSE(one.late(chosen));
  for (int i = 0; i < 9; ++i)
    CHECK_FALSE(one.in_time(chosen));
  CHECK(one.in_time(chosen));
  CHECK_FALSE(one.evicted());
}

TEST_CASE("the two acknowledgement points") {
  const ack_points points{batch_number{9}, batch_number{5}};
  CHECK(points.end(ack_mode::l1) == batch_number{9});
  CHECK(points.end(ack_mode::l2) == batch_number{5});
}
