#include "storage/scrub.hpp"

#include <catch2/catch.hpp>

#include "storage/damage.hpp"

using namespace lance;
using namespace lance::storage;

namespace {

// Reads `total` bytes piece by piece whenever it is due; the time it took.
std::uint64_t run(scrub_pace& pace, std::uint64_t& now, std::uint64_t total) {
  const auto begun = now;
  pace.begin_pass(now);
  pace.expect(total);
  for (std::uint64_t done = 0; done < total; done += scrub_piece_bytes) {
    now = std::max(now, pace.due_ns());
    pace.advance(scrub_piece_bytes, false, now);
  }
  now = std::max(now, pace.due_ns());
  pace.end_pass(now);
  return now - begun;
}

} // namespace

TEST_CASE("a pass keeps to its pace, and the next begins an interval later", "[scrub]") {
  std::uint64_t now = 5 * s_in_ns;
  const auto start = now;
  scrub_pace pace{1 * MiB, 3600 * s_in_ns, now};
  CHECK(pace.due_ns() == now); // the first one at once
  const auto took = run(pace, now, 100 * MiB);
  CHECK(took >= 98 * s_in_ns);
  CHECK(took <= 101 * s_in_ns);
  CHECK_FALSE(pace.in_pass());
  CHECK(pace.due_ns() == start + 3600 * s_in_ns);
  CHECK(pace.age_ns(now + 7) == 7);
}

TEST_CASE("the pace is raised when it would not do for the interval", "[scrub]") {
  std::uint64_t now = 1;
  scrub_pace pace{1000, 60 * s_in_ns, now};
  CHECK(run(pace, now, 600 * MiB) <= 60 * s_in_ns);
}

TEST_CASE("what no pass has seen does not wait for the interval", "[scrub]") {
  std::uint64_t now = 9 * s_in_ns;
  scrub_pace pace{1 * MiB, 3600 * s_in_ns, now};
  run(pace, now, 0); // nothing was there yet
  CHECK(pace.due_ns() > now + 3000 * s_in_ns);
  pace.hasten();
  CHECK(pace.due_ns() <= now);
  run(pace, now, 1 * MiB);
  CHECK(pace.due_ns() > now + 3000 * s_in_ns);
}

TEST_CASE("either zero switches it off, but for what is urgent", "[scrub]") {
  for (const auto& [bytes, interval] : {std::pair{0ULL, 10ULL}, std::pair{10ULL, 0ULL}}) {
    scrub_pace pace{bytes, interval, 100};
    CHECK(pace.off());
    CHECK(pace.due_ns() == ~std::uint64_t{0});
    CHECK(pace.urgent_due_ns() == 100);
    pace.advance(scrub_urgent_bytes_per_s, true, 100 * s_in_ns);
    CHECK(pace.urgent_due_ns() == 100 * s_in_ns); // a second of reading, of the one it was behind
  }
}

TEST_CASE("lost time is made up for by a second at most", "[scrub]") {
  scrub_pace pace{1 * MiB, 3600 * s_in_ns, 0};
  pace.begin_pass(0);
  std::uint64_t read = 0;
  const auto now = 1000 * s_in_ns;
  while (pace.due_ns() <= now) {
    pace.advance(scrub_piece_bytes, false, now);
    read += scrub_piece_bytes;
  }
  CHECK(read <= 1 * MiB + scrub_piece_bytes);
}

TEST_CASE("damage is told once, and taken off when it is not there any more", "[damage]") {
  damage_list list;
  const damaged_batch two{batch_number{2}, byte_offset{10}, byte_offset{20}};
  const damaged_batch five{batch_number{5}, byte_offset{50}, byte_offset{60}};
  CHECK(list.note(two));
  CHECK_FALSE(list.note(two));
  CHECK(list.has_news());
  CHECK(list.take_unreported() == two);
  CHECK_FALSE(list.take_unreported());
  list.doubt(batch_number{1});
  list.doubt(batch_number{1});
  CHECK(list.take_doubted() == batch_number{1});
  CHECK_FALSE(list.take_doubted());
  list.settle(batch_number{1}, batch_number{9}, std::vector{two, five});
  CHECK(list.take_unreported() == five); // two is known
  CHECK(list.size() == 2);
  list.settle(batch_number{1}, batch_number{4}, {});
  CHECK(list.find(batch_number{2}) == nullptr);
  CHECK(list.find(batch_number{5}) != nullptr);
  list.clear(batch_number{0}, batch_number{100});
  CHECK(list.size() == 0);
  for (std::uint64_t n = 0; n < damaged_batches_max + 5; ++n)
    list.note({batch_number{n}, {}, {}});
  CHECK(list.size() == damaged_batches_max);
}
