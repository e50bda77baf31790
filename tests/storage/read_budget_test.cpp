#include "storage/read_budget.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace lance;
using namespace lance::storage;

namespace {

constexpr read_bounds bounds{256 * KiB, 2 * MiB};

constexpr int probe = 32; // commits

struct writer {
  void commit(std::uint64_t took_us, int times = 1, std::uint64_t bytes = 4 * KiB) {
    for (int i = 0; i < times; ++i) {
      now_ns += took_us * us_in_ns;
      budget.committed(now_ns, bytes, took_us * us_in_ns);
    }
  }
  void pass_ms(std::uint64_t ms, bool pending) {
    now_ns += ms * ms_in_ns;
    budget.tick(now_ns, pending);
  }
  std::uint64_t now_ns = 1 * s_in_ns;
  read_budget budget{bounds};
};

} // namespace

TEST_CASE("with nobody writing reads get all there is", "[read_budget]") {
  writer one;
  CHECK(one.budget.allowed_bytes() == 2 * MiB);
  CHECK(one.budget.allowed_reads() == 8);
  one.pass_ms(1000, false);
  CHECK(one.budget.allowed_reads() == 8);
}

TEST_CASE("the first commit takes reads back, silence gives them again", "[read_budget]") {
  writer one;
  one.commit(300);
  CHECK(one.budget.allowed_reads() == 1); // to see what commits take beside one
  one.commit(300, probe - 1);
  CHECK(one.budget.allowed_reads() == 1);
  one.commit(300, 16 * 4);
  CHECK(one.budget.allowed_reads() == 2);
  one.pass_ms(100, false);
  CHECK(one.budget.allowed_reads() == 2);
  one.pass_ms(100, false);
  CHECK(one.budget.allowed_reads() == 8);
  one.commit(300);
  CHECK(one.budget.allowed_reads() == 1);
}

TEST_CASE("commits that take what they take at best let reads grow, step by step",
          "[read_budget]") {
  writer one;
  one.commit(300, probe + 16);
  CHECK(one.budget.allowed_bytes() == 256 * KiB + 64 * KiB);
  one.commit(300, 16 * 30);
  CHECK(one.budget.allowed_bytes() == 2 * MiB);
}

TEST_CASE("commits that take clearly longer halve reads, down to one", "[read_budget]") {
  writer one;
  one.commit(300, probe + 16 * 30);
  REQUIRE(one.budget.allowed_reads() == 8);
  one.commit(1200, 16);
  CHECK(one.budget.allowed_bytes() == 1 * MiB);
  one.commit(1200, 16 * 2);
  CHECK(one.budget.allowed_reads() == 1);
  one.commit(1200, 16 * 10);
  CHECK(one.budget.allowed_bytes() == 256 * KiB); // readers are never starved
  one.commit(300, 16 * 8);
  CHECK(one.budget.allowed_bytes() > 256 * KiB);
}

TEST_CASE("large commits are slow by nature", "[read_budget]") {
  writer one;
  for (int i = 0; i < 30; ++i) {
    one.commit(300, 11);
    one.commit(6000, 9, 4 * MiB);
  }
  CHECK(one.budget.allowed_reads() == 8);
  one.commit(6000, 64, 5 * KiB); // the first of their size: nothing says that they are slow
  CHECK(one.budget.allowed_reads() == 8);
  one.commit(25'000, 64, 4 * MiB);
  CHECK(one.budget.allowed_reads() == 1);
}

TEST_CASE("single slow commits change nothing", "[read_budget]") {
  writer one;
  one.commit(300, probe + 16 * 30);
  for (int i = 0; i < 20; ++i) {
    one.commit(300, 19);
    one.commit(30'000);
  }
  CHECK(one.budget.allowed_bytes() >= 2 * MiB - 256 * KiB);
}

TEST_CASE("a disk that has become slow for good is taken for what it is", "[read_budget]") {
  writer one;
  one.commit(300, probe + 16 * 20);
  one.commit(900, 16 * 8);
  REQUIRE(one.budget.allowed_reads() == 1);
  one.commit(900, 16 * 64 + probe);
  one.commit(900, 16 * 30);
  CHECK(one.budget.allowed_reads() > 2);
}

TEST_CASE("now and then one read at a time shows what commits take at best", "[read_budget]") {
  writer one;
  one.commit(300, probe + 16 * 63);
  REQUIRE(one.budget.allowed_reads() == 8);
  one.commit(300, 16);
  CHECK(one.budget.allowed_reads() == 1);
  one.commit(300, probe);
  CHECK(one.budget.allowed_reads() == 8);
}

TEST_CASE("while one commit is under way for long, one read at a time", "[read_budget]") {
  writer one;
  one.commit(300, probe + 16 * 30);
  REQUIRE(one.budget.allowed_reads() == 8);
  one.pass_ms(250, true);
  CHECK(one.budget.allowed_reads() == 1);
}

TEST_CASE("the budget finds the depth at which commits take half as long again at most",
          "[read_budget]") {
  // A disk on which every read beside a commit costs it a fifth: two fit, eight do not.
  std::mt19937_64 random{3};
  writer one;
  std::uint64_t sum = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto noise = random() % 60;
    one.commit(300 + 60 * one.budget.allowed_reads() + noise);
    if (i >= 1000)
      sum += one.budget.allowed_reads();
  }
  const auto mean = static_cast<double>(sum) / 19'000;
  CHECK(mean > 1.2);
  CHECK(mean < 4.5);
}

TEST_CASE("while a commit is on its way no read begins", "[read_budget]") {
  writer one;
  one.budget.commit_began();
  CHECK(one.budget.allowed_reads() == 0); // the very first, too
  CHECK(one.budget.somebody_writes());
  one.budget.commit_began();
  one.budget.commit_ended();
  CHECK(one.budget.allowed_reads() == 0);
  one.budget.commit_ended();
  CHECK(one.budget.allowed_reads() == 8);
}

TEST_CASE("of commits without a gap one in three lets a read through", "[read_budget]") {
  writer one;
  one.commit(300, probe + 16 * 30);
  one.budget.commit_began();
  std::uint32_t let_through = 0;
  for (int i = 0; i < 30; ++i) { // the next one begins when the one before ends
    one.budget.commit_began();
    one.budget.commit_ended();
    CHECK(one.budget.allowed_reads() <= 1);
    let_through += one.budget.allowed_reads();
  }
  CHECK(let_through == 10);
  one.budget.commit_ended();
  CHECK(one.budget.allowed_reads() == 8);
  for (int i = 0; i < 30; ++i) { // with gaps, readers have these
    one.budget.commit_began();
    CHECK(one.budget.allowed_reads() == 0);
    one.budget.commit_ended();
    CHECK(one.budget.allowed_reads() == 8);
  }
}

TEST_CASE("a commit that takes for ever does not stop readers", "[read_budget]") {
  writer one;
  one.budget.commit_began();
  for (const bool pending : {false, true}) {
    one.pass_ms(50, pending);
    CHECK(one.budget.allowed_reads() == 1);
  }
  one.budget.commit_ended();
  one.budget.commit_began();
  CHECK(one.budget.allowed_reads() == 0);
}
