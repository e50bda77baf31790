// Who belongs to a group, and how that changes.
#include "cluster/membership.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::cluster;

namespace {

std::vector<node_id> nodes(std::initializer_list<std::uint16_t> ids) {
  std::vector<node_id> made;
  for (const auto id : ids)
    made.emplace_back(id);
  return made;
}

} // namespace

TEST_CASE("members come as learners, vote later, and go one at a time") {
  const membership three{nodes({1, 2, 3}), {}};
  CHECK(three.majority() == 2);
  const auto with = stepped(three, membership_step::add_learner, node_id{4});
  REQUIRE(with);
  CHECK(*with == membership{nodes({1, 2, 3}), nodes({4})});
  CHECK(with->majority() == 2);
  const auto four = stepped(*with, membership_step::promote, node_id{4});
  REQUIRE(four);
  CHECK(*four == membership{nodes({1, 2, 3, 4}), {}});
  CHECK(four->majority() == 3);
  CHECK(stepped(*four, membership_step::demote, node_id{2}) ==
        membership{nodes({1, 3, 4}), nodes({2})});
  CHECK(stepped(*with, membership_step::remove, node_id{4}) == three);
  CHECK(one_step_apart(three, *four));
  CHECK(one_step_apart(three, {nodes({1, 2}), nodes({3, 4})}));
  CHECK_FALSE(one_step_apart(three, {nodes({1, 2, 4}), {}}));
}

TEST_CASE("steps that do not fit are refused") {
  const membership some{nodes({1}), nodes({2})};
  const auto code = [&](membership_step step, std::uint16_t node) {
    return stepped(some, step, node_id{node}).error().code;
  };
  CHECK(code(membership_step::add_learner, 1) == errc::invalid_request);
  CHECK(code(membership_step::add_learner, 2) == errc::invalid_request);
  CHECK(code(membership_step::promote, 1) == errc::invalid_request);
  CHECK(code(membership_step::promote, 3) == errc::invalid_request);
  CHECK(code(membership_step::demote, 2) == errc::invalid_request);
  CHECK(code(membership_step::demote, 1) == errc::invalid_request); // nobody would vote
  CHECK(code(membership_step::remove, 1) == errc::invalid_request);
  CHECK(code(membership_step::remove, 3) == errc::invalid_request);
  membership full;
  for (std::uint16_t i = 1; i <= members_max; ++i)
    full.voters.emplace_back(i);
  CHECK(well_formed(full));
  CHECK(stepped(full, membership_step::add_learner, node_id{99}).error().code == errc::throttled);
}

TEST_CASE("only sorted members without doubles are well formed") {
  CHECK(well_formed({nodes({1, 5}), nodes({2})}));
  CHECK_FALSE(well_formed({{}, nodes({2})}));
  CHECK_FALSE(well_formed({nodes({2, 1}), {}}));
  CHECK_FALSE(well_formed({nodes({1, 1}), {}}));
  CHECK_FALSE(well_formed({nodes({1}), nodes({1})}));
  CHECK_FALSE(well_formed({nodes({1}), nodes({3, 2})}));
  CHECK_FALSE(well_formed({nodes({1, 2, 3, 4, 5, 6}), nodes({7, 8, 9, 10})}));
}

TEST_CASE("the membership of a place in the log") {
  membership_history history{{batch_number{0}, {nodes({1}), {}}}};
  history.append({batch_number{5}, {nodes({1}), nodes({2})}});
  history.append({batch_number{9}, {nodes({1, 2}), {}}});
  CHECK(history.before(batch_number{5}).at == batch_number{0});
  CHECK(history.before(batch_number{6}).at == batch_number{5});
  CHECK(history.within(batch_number{5}, batch_number{9}).size() == 1);
  CHECK(history.within(batch_number{1}, batch_number{100}).size() == 2);
  auto shorter = history;
  shorter.truncate(batch_number{9});
  CHECK(shorter.latest().at == batch_number{5});
  shorter.truncate(batch_number{1});
  CHECK(shorter.latest().at == batch_number{0});
  history.drop_before(batch_number{7}); // what held there is kept
  CHECK(history.before(batch_number{7}).at == batch_number{5});
  CHECK(history.latest().at == batch_number{9});
}
