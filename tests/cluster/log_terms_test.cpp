// The terms of a log, compared with a plain list of them by random deeds.
#include "cluster/log_terms.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"

using namespace lance;
using namespace lance::cluster;

namespace {

// The same as a list: terms[i] is the term of batch start + i.
struct plain_log {
  std::uint64_t start = 1;
  std::uint64_t base = 0;
  std::vector<std::uint64_t> terms;

  [[nodiscard]] std::uint64_t end() const { return start + terms.size(); }
  [[nodiscard]] std::uint64_t before(std::uint64_t at) const {
    return at == start ? base : terms.at(at - start - 1);
  }
};

log_terms log_of(std::initializer_list<std::uint64_t> terms) {
  log_terms log;
  for (const auto each : terms)
    log.append(batch_number{log.end().value + 1}, term{each});
  return log;
}

} // namespace

TEST_CASE("a log of terms is what a list of them is") {
  wire::test::random_source random{"log_terms"};
  for (int round = 0; round < 300; ++round) {
    log_terms log;
    plain_log plain;
    std::uint64_t now = 1;
    for (int step = 0; step < 40; ++step) {
      const auto what = random.up_to(9);
      if (what < 6) {
        now += random.up_to(2) == 0 ? 1 : 0;
        const auto count = random.up_to(3);
        log.append(batch_number{plain.end() + count}, term{now});
        plain.terms.insert(plain.terms.end(), count, now);
      } else if (what < 8) {
        const auto to = plain.start + random.up_to(plain.terms.size());
        log.truncate(batch_number{to});
        plain.terms.resize(to - plain.start);
        now = std::max(now, plain.before(plain.end()));
      } else {
        const auto to = plain.start + random.up_to(plain.terms.size() / 2);
        log.drop_before(batch_number{to});
        plain.base = plain.before(to);
        plain.terms.erase(plain.terms.begin(),
                          plain.terms.begin() + static_cast<std::ptrdiff_t>(to - plain.start));
        plain.start = to;
      }
      REQUIRE(log.start().value == plain.start);
      REQUIRE(log.end().value == plain.end());
      for (auto at = plain.start; at <= plain.end(); ++at)
        REQUIRE(log.before(batch_number{at}).value == plain.before(at));
      // The runs of any range make the same log again.
      const auto from = plain.start + random.up_to(plain.terms.size());
      log_terms again{batch_number{from}, log.before(batch_number{from})};
      again.append(log.runs(batch_number{from}, log.end()), batch_number{from}, log.end());
      for (auto at = from; at <= plain.end(); ++at)
        REQUIRE(again.before(batch_number{at}).value == plain.before(at));
    }
  }
}

TEST_CASE("the first difference is found") {
  const auto mine = log_of({1, 1, 2, 2, 5});
  const auto theirs = log_of({1, 1, 2, 3, 3, 3});
  const auto differs = [&](std::uint64_t from) {
    return mine
        .first_difference(batch_number{from}, theirs.runs(batch_number{from}, theirs.end()),
                          theirs.end())
        .value;
  };
  CHECK(differs(1) == 4);
  CHECK(differs(4) == 4);
  CHECK(differs(5) == 5);
  CHECK(differs(6) == 6); // mine ends there
  const auto shorter = log_of({1, 1, 2});
  CHECK(mine.first_difference(batch_number{2}, shorter.runs(batch_number{2}, shorter.end()),
                              shorter.end())
            .value == 4);
}

TEST_CASE("places where logs may agree come nearer by whole terms") {
  const auto log = log_of({1, 1, 4, 4, 4, 6});
  const auto place = [&](std::uint64_t below, std::uint64_t at_most) {
    const auto found = log.last_place(batch_number{below}, term{at_most});
    return std::pair{found.end.value, found.in_term.value};
  };
  CHECK(place(7, 6) == std::pair{7UL, 6UL});
  CHECK(place(9, 5) == std::pair{6UL, 4UL});
  CHECK(place(5, 4) == std::pair{5UL, 4UL});
  CHECK(place(6, 3) == std::pair{3UL, 1UL});
  CHECK(place(6, 0) == std::pair{1UL, 0UL});
}

TEST_CASE("a later last term wins over a longer log") {
  const term_position long_log{batch_number{9}, term{3}};
  const term_position late_log{batch_number{4}, term{4}};
  CHECK(late_log.up_to_date_with(long_log));
  CHECK_FALSE(long_log.up_to_date_with(late_log));
  CHECK(long_log.up_to_date_with(long_log));
  CHECK_FALSE(term_position{batch_number{8}, term{3}}.up_to_date_with(long_log));
}
