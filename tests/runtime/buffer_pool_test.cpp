#include "runtime/buffer_pool.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "runtime/types.hpp"

using namespace lance;
using namespace lance::runtime;

namespace {

std::unique_ptr<buffer_pool> pool_of(std::uint32_t count, std::size_t bytes = 4096) {
  auto made = buffer_pool::make({count, bytes, -1, true});
  REQUIRE(made.has_value());
  return std::move(*made);
}

} // namespace

TEST_CASE("buffers are distinct, aligned and lie in the pool's memory") {
  auto pool = pool_of(8, 8192);
  std::vector<buffer_ref> lent;
  std::set<const std::byte*> places;
  for (int i = 0; i < 8; ++i) {
    lent.push_back(pool->take());
    REQUIRE(lent.back());
    CHECK(lent.back().size() == 8192);
    CHECK(reinterpret_cast<std::uintptr_t>(lent.back().data()) % 4096 == 0);
    CHECK(lent.back().data() >= pool->memory().data());
    CHECK(lent.back().data() + 8192 <= pool->memory().data() + pool->memory().size());
    CHECK(lent.back().home() == pool.get());
    CHECK(places.insert(lent.back().data()).second);
    std::memset(lent.back().data(), i, 8192);
  }
  CHECK(pool->lent() == 8);
  for (int i = 0; i < 8; ++i)
    CHECK(lent[static_cast<std::size_t>(i)].data()[8191] == static_cast<std::byte>(i));
}

TEST_CASE("a dry pool answers with an empty handle and wakes once") {
  auto pool = pool_of(2);
  int woken = 0;
  pool->on_return([](void* context) { ++*static_cast<int*>(context); }, &woken);
  auto first = pool->take();
  auto second = pool->take();
  first.reset();
  CHECK(woken == 0); // nobody had asked in vain
  first = pool->take();
  CHECK_FALSE(pool->take());
  CHECK_FALSE(pool->take());
  second.reset();
  first.reset();
  CHECK(woken == 1);
  CHECK(pool->lent() == 0);
  CHECK(pool->take());
}

TEST_CASE("a shared buffer returns with its last handle") {
  auto pool = pool_of(1);
  auto one = pool->take();
  CHECK_FALSE(one.shared());
  auto two = one.share();
  CHECK(one.shared());
  CHECK(two.data() == one.data());
  auto moved = std::move(one);
  CHECK_FALSE(one); // NOLINT(bugprone-use-after-move): emptied by the move
  moved.reset();
  CHECK(pool->lent() == 1);
  CHECK_FALSE(two.shared());
  two.reset();
  CHECK(pool->lent() == 0);
}

TEST_CASE("assigning over a handle gives its buffer back") {
  auto pool = pool_of(2);
  auto held = pool->take();
  held = pool->take();
  CHECK(pool->lent() == 1);
  auto& same = held;
  held = std::move(same);
  CHECK(held);
}

TEST_CASE("buffers given back on another thread come round again") {
  constexpr int rounds = 20'000;
  auto pool = pool_of(16);
  std::mutex mutex;
  std::deque<buffer_ref> passed;
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::thread other{[&] {
    for (bool last = false; !last;) {
      last = done.load();
      std::deque<buffer_ref> mine;
      {
        const std::lock_guard lock{mutex};
        mine.swap(passed);
      }
      for (auto& buffer : mine)
        wrong += load_le<std::uint32_t>(buffer.data()) != buffer.index() ? 1 : 0;
      last = last && mine.empty();
    }
  }};
  for (int sent = 0; sent < rounds;) {
    auto buffer = pool->take();
    if (!buffer)
      continue;
    store_le<std::uint32_t>(buffer.data(), buffer.index());
    const std::lock_guard lock{mutex};
    passed.push_back(std::move(buffer));
    ++sent;
  }
  done = true;
  other.join();
  passed.clear();
  CHECK(wrong == 0);
  CHECK(pool->lent() == 0);
}

TEST_CASE("asking for several in vain wakes when one is back, not before") {
  auto pool = pool_of(4);
  int calls = 0;
  pool->on_return([](void* count) { ++*static_cast<int*>(count); }, &calls);
  auto first = pool->take();
  auto second = pool->take();
  CHECK(pool->can_take(2));
  first.reset();
  CHECK(calls == 0);
  CHECK_FALSE(pool->can_take(4));
  CHECK(calls == 0);
  second.reset();
  CHECK(calls == 1);
  CHECK(pool->can_take(4));
  CHECK_FALSE(pool->can_take(5));
}

TEST_CASE("more memory than there is comes back as an error") {
  const auto pool = buffer_pool::make({1, std::size_t{1} << 62, -1, false});
  CHECK_FALSE(pool.has_value());
}

TEST_CASE("a pool tells when its memory is not where it was asked for") {
  const auto pool = [](int node) {
    return *buffer_pool::make({.count = 1, .buffer_bytes = 4096, .numa_node = node});
  };
  CHECK_FALSE(pool(-1)->misplaced());
  CHECK(pool(1000)->misplaced()); // no machine has it
}
