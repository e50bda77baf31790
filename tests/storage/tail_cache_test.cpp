#include "storage/tail_cache.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::storage;

namespace {

constexpr std::size_t buffer_bytes = 4096;
const segment_id first_segment{batch_number{1}, 10};
const segment_id second_segment{batch_number{9}, 20};

struct cache_of {
  explicit cache_of(std::uint64_t buffers)
      : pool(*runtime::buffer_pool::make({16, buffer_bytes, -1, false})),
        cache(buffers * buffer_bytes) {}
  image_chunk chunk(std::uint64_t file_begin, int fill) {
    image_chunk made{pool->take(), file_begin};
    std::memset(made.buffer.data(), fill, buffer_bytes);
    return made;
  }
  std::unique_ptr<runtime::buffer_pool> pool;
  tail_cache cache;
};

} // namespace

TEST_CASE("the tail cache finds bytes by segment and position", "[tail_cache]") {
  cache_of world{4};
  tail_line line{world.cache};
  const auto chunk = world.chunk(4096, 'a');
  line.add(first_segment, chunk, 4096, 4196);
  CHECK(line.find(first_segment, 4095).empty());
  CHECK(line.find(first_segment, 4100).size() == 96);
  CHECK(line.find(first_segment, 4100)[0] == std::byte{'a'});
  CHECK(line.find(first_segment, 4196).empty());
  CHECK(line.find(second_segment, 4100).empty());
  line.add(first_segment, chunk, 4096, 4296); // the same buffer, longer
  CHECK(line.find(first_segment, 4196).size() == 100);
  CHECK(world.cache.held_bytes() == buffer_bytes);
}

TEST_CASE("a later chunk counts where two overlap", "[tail_cache]") {
  cache_of world{4};
  tail_line line{world.cache};
  line.add(first_segment, world.chunk(0, 'a'), 0, 4000);
  line.add(first_segment, world.chunk(0, 'b'), 0, 4096);
  CHECK(line.find(first_segment, 10)[0] == std::byte{'b'});
}

TEST_CASE("the oldest chunk of all logs goes first, and its buffer with it", "[tail_cache]") {
  cache_of world{2};
  tail_line one{world.cache};
  tail_line other{world.cache};
  one.add(first_segment, world.chunk(0, 'a'), 0, 4096);
  other.add(first_segment, world.chunk(0, 'b'), 0, 4096);
  CHECK(world.pool->lent() == 2);
  other.add(first_segment, world.chunk(4096, 'c'), 4096, 8192);
  CHECK(one.find(first_segment, 0).empty());
  CHECK_FALSE(other.find(first_segment, 0).empty());
  CHECK(world.pool->lent() == 2);
  world.cache.shrink_to(0);
  CHECK(world.pool->lent() == 0);
  CHECK(world.cache.held_bytes() == 0);
}

TEST_CASE("a line that goes takes its chunks along", "[tail_cache]") {
  cache_of world{4};
  tail_line stays{world.cache};
  {
    tail_line goes{world.cache};
    goes.add(first_segment, world.chunk(0, 'a'), 0, 4096);
    stays.add(first_segment, world.chunk(0, 'b'), 0, 4096);
    goes.add(first_segment, world.chunk(4096, 'c'), 4096, 8192);
  }
  CHECK(world.cache.held_bytes() == buffer_bytes);
  CHECK(world.pool->lent() == 1);
  world.cache.shrink_to(0);
  CHECK(world.pool->lent() == 0);
}

TEST_CASE("a budget below one buffer keeps nothing", "[tail_cache]") {
  cache_of world{0};
  tail_line line{world.cache};
  line.add(first_segment, world.chunk(0, 'a'), 0, 4096);
  CHECK(line.find(first_segment, 0).empty());
  CHECK(world.pool->lent() == 0);
}
