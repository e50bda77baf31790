#include "storage/ring.hpp"

#include <deque>
#include <memory>
#include <random>

#include <catch2/catch.hpp>

using lance::storage::ring;

TEST_CASE("a ring behaves like a deque", "[ring]") {
  const auto seed = Catch::rngSeed() + 1;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  ring<int> mine;
  std::deque<int> model;
  for (int i = 0; i < 20'000; ++i) {
    if (model.empty() || random() % 100 < 55) {
      mine.push(i);
      model.push_back(i);
    } else {
      REQUIRE(mine.pop() == model.front());
      model.pop_front();
    }
    REQUIRE(mine.size() == model.size());
    if (!model.empty()) {
      const auto at = random() % model.size();
      REQUIRE(mine[at] == model[at]);
      REQUIRE(mine.back() == model.back());
    }
  }
}

TEST_CASE("a ring lets go of what is taken out", "[ring]") {
  ring<std::shared_ptr<int>> held;
  const auto one = std::make_shared<int>(1);
  for (int i = 0; i < 20; ++i)
    held.push(one);
  CHECK(one.use_count() == 21);
  held.pop();
  CHECK(one.use_count() == 20);
  held.clear();
  CHECK(one.use_count() == 1);
}
