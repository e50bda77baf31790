#include "actors/reply_queue.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"

namespace lance::actors {

TEST_CASE("replies leave in the order of requests, however answers come", "[reply_queue]") {
  wire::test::random_source random{"reply order"};
  reply_queue replies;
  std::vector<std::uint64_t> open;
  std::uint64_t opened = 0;
  std::uint64_t left = 0;
  for (int step = 0; step < 200'000; ++step) {
    const auto deed = random.up_to(2);
    if (deed == 0 && replies.has_room()) {
      open.push_back(replies.open({.kind = reply_kind::ack, .batch_id = opened++}));
    } else if (deed == 1 && !open.empty()) {
      const auto at = random.up_to(open.size() - 1);
      const auto ticket = open[at];
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
      replies.complete(ticket, ticket % 3 == 0, errc::read_only);
    } else if (deed == 2) {
      while (const auto* slot = replies.front_ready()) {
        REQUIRE(slot->batch_id == left);
        REQUIRE(slot->refused == (left % 3 == 0));
        replies.pop();
        ++left;
      }
    }
    REQUIRE(replies.size() == opened - left);
  }
  for (const auto ticket : open)
    replies.complete(ticket, ticket % 3 == 0, errc::read_only);
  while (const auto* slot = replies.front_ready()) {
    REQUIRE(slot->batch_id == left++);
    replies.pop();
  }
  CHECK(left == opened);
  CHECK(replies.empty());
}

TEST_CASE("credit ends at its bound and comes back with each reply", "[reply_queue]") {
  reply_queue replies;
  CHECK(replies.empty());
  CHECK(replies.front_ready() == nullptr);
  std::vector<std::uint64_t> tickets;
  while (replies.has_room())
    tickets.push_back(replies.open({}));
  CHECK(tickets.size() == replies_outstanding_max);
  replies.complete(tickets[1], false, {});
  CHECK(replies.front_ready() == nullptr); // the first one is still owed
  replies.complete(tickets[0], false, {});
  REQUIRE(replies.front_ready() != nullptr);
  replies.pop();
  CHECK(replies.has_room());
  replies.open({});
  CHECK_FALSE(replies.has_room());
}

TEST_CASE("a ticket taken back leaves no trace", "[reply_queue]") {
  reply_queue replies;
  const auto first = replies.open({.batch_id = 1});
  const auto second = replies.open({.batch_id = 2});
  replies.retract();
  CHECK(replies.size() == 1);
  CHECK(replies.open({.batch_id = 3}) == second);
  replies.complete(second, false, {});
  replies.complete(first, false, {});
  CHECK(replies.front_ready()->batch_id == 1);
  replies.pop();
  CHECK(replies.front_ready()->batch_id == 3);
}

} // namespace lance::actors
