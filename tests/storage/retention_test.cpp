#include "storage/retention.hpp"

#include <vector>

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::storage;

namespace {

constexpr std::uint64_t now = 1'000 * s_in_ns;

// Segments of ten batches each, one behind the other.
struct shape {
  std::uint64_t first_s; // append times
  std::uint64_t last_s;
  std::uint64_t bytes;
};

std::vector<segment_facts> segments(const std::vector<shape>& shapes) {
  std::vector<segment_facts> made;
  for (const auto& each : shapes) {
    segment_facts facts;
    facts.id = {batch_number{1 + made.size() * 10}, each.first_s * s_in_ns};
    facts.last_ns = each.last_s * s_in_ns;
    facts.file_bytes = each.bytes;
    facts.batches = 10;
    made.push_back(facts);
  }
  return made;
}

// All but the last are closed; everything is committed.
retention_plan plan(const std::vector<shape>& shapes, const retention_policy& policy,
                    batch_number committed = batch_number{1'000'000}) {
  const auto facts = segments(shapes);
  return plan_retention(facts, facts.size() - 1, true, policy, committed, now);
}

retention_policy age(std::uint64_t seconds) {
  return retention_of(seconds, 0);
}
retention_policy size(std::uint64_t bytes) {
  return retention_of(0, bytes);
}

} // namespace

TEST_CASE("retention: what goes, by age and by size", "[retention]") {
  const std::vector<shape> log{{0, 100, 50}, {100, 200, 50}, {200, 900, 50}, {900, 990, 20}};
  struct row {
    retention_policy policy;
    retention_plan expected;
  };
  const std::vector<row> table{
      {{}, {0, false}},                     // 0 is unlimited
      {age(1000), {0, false}},              // the oldest has its age at 1100
      {age(900), {1, false}},               // to the nanosecond
      {age(800), {2, false}},               // its last batch counts, not its first
      {age(101), {2, false}},               //
      {age(100), {3, true}},                // the active one began then; it is ended
      {age(11), {3, true}},                 // and goes once it is closed
      {size(170), {0, false}},              // exactly as large
      {size(169), {1, false}},              // one byte too many takes a segment
      {size(120), {1, false}},              //
      {size(70), {2, false}},               //
      {size(20), {3, false}},               // the active one alone keeps it
      {size(19), {3, true}},                // it does not
      {{101 * s_in_ns, 60}, {3, false}},    // whichever asks for more
      {{800 * s_in_ns, 1'000}, {2, false}}, //
  };
  for (const auto& row : table) {
    INFO("age " << row.policy.max_age_ns << " bytes " << row.policy.max_bytes);
    CHECK(plan(log, row.policy).drop == row.expected.drop);
    CHECK(plan(log, row.policy).end_active == row.expected.end_active);
  }
}

TEST_CASE("retention never passes the committed end", "[retention]") {
  const std::vector<shape> log{{0, 1, 50}, {1, 2, 50}, {2, 3, 50}};
  CHECK(plan(log, age(1), batch_number{11}).drop == 1);
  CHECK(plan(log, age(1), batch_number{20}).drop == 1); // whole segments only
  CHECK(plan(log, age(1), batch_number{21}).drop == 2);
  CHECK(plan(log, size(1), batch_number{10}).drop == 0);
}

TEST_CASE("retention drops from the front only", "[retention]") {
  // The clock went back and forth: a young segment in front keeps the older ones behind it.
  CHECK(plan({{0, 999, 50}, {0, 1, 50}, {999, 999, 50}}, age(100)).drop == 0);
}

TEST_CASE("retention: a log without an active segment may go whole", "[retention]") {
  const auto facts = segments({{0, 1, 50}, {1, 2, 50}});
  CHECK(plan_retention(facts, 2, false, age(10), batch_number{21}, now) ==
        retention_plan{2, false});
  CHECK(plan_retention({}, 0, false, age(10), batch_number{1}, now) == retention_plan{});
}

TEST_CASE("retention: an empty active segment and a young clock end nothing", "[retention]") {
  auto facts = segments({{0, 0, 0}});
  facts[0].batches = 0;
  CHECK_FALSE(plan_retention(facts, 0, true, age(1), batch_number{1}, now).end_active);
  // A clock that stands before the age itself makes nothing old.
  CHECK(plan_retention(segments({{0, 0, 9}, {0, 0, 9}}), 1, true, age(60), batch_number{90},
                       30 * s_in_ns) == retention_plan{});
}

TEST_CASE("retention: ages beyond 64 bits of nanoseconds are no limit", "[retention]") {
  CHECK(retention_of(18'446'744'073, 5) == retention_policy{18'446'744'073ULL * s_in_ns, 5});
  CHECK(retention_of(18'446'744'074, 5) == retention_policy{0, 5});
  CHECK(retention_of(~std::uint64_t{0}, 0) == retention_policy{});
  CHECK_FALSE(retention_of(0, 0).limited());
}

TEST_CASE("retention: a limit of size makes segments a quarter of it", "[retention]") {
  options chosen;
  CHECK(roll_position({}, chosen) == chosen.segment_bytes);
  CHECK(roll_position(size(1 * MiB), chosen) == 4 * MiB);
  CHECK(roll_position(size(64 * MiB), chosen) == 16 * MiB);
  CHECK(roll_position(size(100 * GiB), chosen) == chosen.segment_bytes);
}
