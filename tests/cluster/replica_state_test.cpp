#include "cluster/replica_state.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::cluster;

namespace {

const membership three{{node_id{1}, node_id{2}, node_id{3}}, {}};
const membership four{{node_id{1}, node_id{2}, node_id{3}}, {node_id{4}}};

replica_state begun(std::uint64_t start = 1, std::uint64_t base = 0) {
  return replica_state::at(log_id{7}, batch_number{start}, term{base}, {batch_number{0}, three});
}

vote_record promised(std::uint64_t in_term) {
  return {log_id{7}, term{in_term}, node_id{3}};
}

} // namespace

TEST_CASE("terms and memberships are those of the batches") {
  auto start = begun(10, 2);
  REQUIRE(start.add(batch_number{10}, term{2}));
  REQUIRE(start.add(batch_number{11}, term{4}, control_batch{}));
  REQUIRE(start.add(batch_number{12}, term{4}, control_batch{four}));
  REQUIRE(start.add(batch_number{13}, term{4}));
  const auto found = start.begin(node_id{2}, promised(5), true);
  CHECK(found.log == log_id{7});
  CHECK(found.self == node_id{2});
  CHECK(found.start == batch_number{10});
  CHECK(found.base_term == term{2});
  CHECK(found.end == batch_number{14});
  CHECK(found.runs ==
        std::vector{term_run{batch_number{10}, term{2}}, term_run{batch_number{11}, term{4}}});
  CHECK(found.memberships == std::vector{membership_at{batch_number{12}, four}});
  CHECK(found.current == term{5});
  CHECK(found.vote == node_id{3});
  CHECK(found.fit);
  const raft core{{}, found, {}}; // and a core takes it
  CHECK(core.current_term() == term{5});
}

TEST_CASE("batches that do not follow are corrupt") {
  auto start = begun();
  REQUIRE(start.add(batch_number{1}, term{3}));
  CHECK(start.add(batch_number{3}, term{3}).error().code == errc::corrupt);
  CHECK(start.add(batch_number{1}, term{3}).error().code == errc::corrupt);
  CHECK(start.add(batch_number{2}, term{2}).error().code == errc::corrupt);
  CHECK(begun(1, 4).add(batch_number{1}, term{3}).error().code == errc::corrupt);
  CHECK(start.begin(node_id{2}, promised(3), true).end == batch_number{2});
}

TEST_CASE("who may have forgotten a vote is not fit") {
  auto start = begun();
  REQUIRE(start.add(batch_number{1}, term{3}));
  CHECK(start.begin(node_id{2}, promised(3), true).fit);
  CHECK_FALSE(start.begin(node_id{2}, promised(3), false).fit);
  for (const auto& row : {std::optional<vote_record>{}, std::optional{promised(2)}}) {
    const auto found = start.begin(node_id{2}, row, true);
    CHECK_FALSE(found.fit);
    CHECK(found.current == term{3});
    CHECK_FALSE(found.vote.has_value());
  }
  CHECK(begun().begin(node_id{2}, {}, true).fit); // new
  CHECK(begun(9, 2).begin(node_id{2}, {}, true).current == term{2});
  CHECK_FALSE(begun(9, 2).begin(node_id{2}, {}, true).fit);
}
