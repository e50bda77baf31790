#include "runtime/memory_plan.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::runtime;

TEST_CASE("memory is shared a quarter, a quarter and a half") {
  const auto plan = plan_memory(1, 1, 128 * MiB, 256 * KiB);
  CHECK(plan.receive.total() == 32 * MiB);
  CHECK(plan.reply.total() == 32 * MiB);
  CHECK(plan.append.total() == 64 * MiB);
  CHECK(plan.largest_frame_bytes == 64 * MiB - 256 * KiB);
  CHECK(plan.total == 128 * MiB);
}

TEST_CASE("the least memory of a shard holds the largest frame") {
  const auto least = plan_memory(1, 1, shard_memory_min, 256 * KiB);
  CHECK(least.reply.total() > 16 * MiB);
  CHECK(plan_memory(4, 2, shard_memory_min, 256 * KiB).reply.total() > 16 * MiB);
  CHECK(plan_memory(1, 1, shard_memory_min, 256 * KiB).largest_frame_bytes >= 16 * MiB);
  CHECK(plan_memory(1, 1, shard_memory_min, 4 * MiB).largest_frame_bytes >= 16 * MiB);
}

TEST_CASE("lanes and shards share, and each has an upper bound") {
  const auto plan = plan_memory(2, 4, 4 * shard_memory_min, MiB);
  CHECK(plan.total <= 4 * shard_memory_min);
  CHECK(plan.append.total() == shard_memory_min / 2);
  CHECK(plan_memory(1, 1, 100 * GiB, MiB).total == shard_memory_max);
  CHECK(plan_memory(3, 3, 100 * GiB, MiB).total == 3 * shard_memory_max);
}

TEST_CASE("without memory there is still the least of everything") {
  const auto plan = plan_memory(1, 1, 0, MiB);
  CHECK(plan.receive.count == 1);
  CHECK(plan.reply.count == reply_buffers_min);
  CHECK(plan.append.count == 2);
}
