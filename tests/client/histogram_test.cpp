#include "client/histogram.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

using lance::client::histogram;

TEST_CASE("quantiles are at most one percent above the exact ones") {
  const std::uint64_t seed = 20250131;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  const auto measured = std::make_unique<histogram>();
  std::vector<std::uint64_t> values(10'000);
  for (auto& value : values) {
    value = random() >> (random() % 60); // over many doublings
    measured->record(value);
  }
  std::sort(values.begin(), values.end());
  for (const double quantile : {0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(quantile * 10'000 + 0.5) - 1;
    const auto exact = values[rank];
    const auto told = measured->value_at(quantile);
    INFO(quantile);
    CHECK(told >= exact);
    CHECK(static_cast<double>(told) <= static_cast<double>(exact) * 1.01);
  }
  CHECK(measured->max() == values.back());
  CHECK(measured->count() == 10'000);
}

TEST_CASE("the extremes have a bucket") {
  const auto measured = std::make_unique<histogram>();
  CHECK(measured->value_at(0.5) == 0);
  measured->record(0);
  measured->record(~std::uint64_t{0}, 3);
  CHECK(measured->value_at(0.25) == 0);
  CHECK(measured->value_at(1) == ~std::uint64_t{0});
  CHECK(measured->count() == 4);
}

TEST_CASE("a stall counts for what it kept from being measured") {
  const auto measured = std::make_unique<histogram>();
  measured->record_corrected(100, 10); // 100, 90, ..., 10
  CHECK(measured->count() == 10);
  CHECK(measured->value_at(0.5) == 50);
  measured->record_corrected(100, 0);
  CHECK(measured->count() == 11);
}

TEST_CASE("two histograms add up") {
  const auto one = std::make_unique<histogram>();
  const auto other = std::make_unique<histogram>();
  one->record(10, 5);
  other->record(1000);
  one->add(*other);
  CHECK(one->count() == 6);
  CHECK(one->max() == 1000);
  CHECK(one->value_at(0.5) == 10);
}
