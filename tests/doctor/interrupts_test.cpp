#include "actors/doctor/interrupts.hpp"

#include <cerrno>
#include <fstream>

#include <catch2/catch.hpp>

#include "tests/doctor/facts_of_a_good_node.hpp"
#include "tests/doctor/made_tree.hpp"

namespace lance::actors::doctor {

TEST_CASE("interrupts go where no lane is pinned, one after the other") {
  auto known = facts_of_a_good_node();
  known.card.interrupts.clear();
  for (unsigned number = 30; number < 34; ++number)
    known.card.interrupts.push_back({number, "rx", {1}});
  known.card.interrupts.push_back({40, "well placed", {0, 3}});
  CHECK(lane_cpus(known) == std::vector{1, 2});
  CHECK(cpus_for_interrupts(known) == std::vector{0, 3});
  const auto moves = plan_interrupts(known);
  REQUIRE(moves.size() == 4);
  for (std::size_t i = 0; i < moves.size(); ++i) {
    CHECK(moves[i].interrupt == 30 + i);
    CHECK(moves[i].from == std::vector{1});
    CHECK(moves[i].to == (i % 2 == 0 ? 0 : 3));
  }
}

TEST_CASE("CPUs near the card come first, others when there is none") {
  auto known = facts_of_a_good_node();
  known.chosen.machine.cpus[3].node = 1;
  known.chosen.machine.nic_node = 1;
  CHECK(cpus_for_interrupts(known) == std::vector{3});
  known.chosen.machine.nic_node = -1; // then near the network lane, which is on node 0
  CHECK(cpus_for_interrupts(known) == std::vector{0});
  known.chosen.machine.nic_node = 7;
  CHECK(cpus_for_interrupts(known) == std::vector{0, 3});
}

TEST_CASE("without pinned lanes, or without a CPU that is left, nothing moves") {
  auto known = facts_of_a_good_node();
  known.card.interrupts[0].cpus = {0, 1};
  REQUIRE(plan_interrupts(known).size() == 1);
  auto full = known;
  full.chosen.plan.lanes.push_back({0, 0, runtime::idle_policy::park});
  full.chosen.plan.lanes.push_back({3, 0, runtime::idle_policy::park});
  CHECK(plan_interrupts(full).empty());
  for (auto& lane : known.chosen.plan.lanes)
    lane.cpu = -1;
  CHECK(plan_interrupts(known).empty());
}

TEST_CASE("steering writes the kernel's file, and says what stopped it") {
  const made_tree tree;
  tree.file("/proc/irq/24/smp_affinity_list", "0-3");
  REQUIRE(steer(tree.root(), {24, "rx", {0, 1, 2, 3}, 2}).has_value());
  std::string line;
  std::getline(std::ifstream{affinity_path(tree.root(), 24)}, line);
  CHECK(line == "2");
  const auto absent = steer(tree.root(), {25, "rx", {}, 2});
  REQUIRE_FALSE(absent.has_value());
  CHECK(absent.error().system == ENOENT);
}

} // namespace lance::actors::doctor
