#include "runtime/memory_plan.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace lance::runtime {

namespace {

buffers_plan buffers(std::uint64_t memory, std::uint64_t each, std::uint64_t at_least) noexcept {
  return {static_cast<std::uint32_t>(std::max(memory / each, at_least)), each};
}

} // namespace

memory_plan plan_memory(unsigned network_lanes, unsigned shards, std::uint64_t memory_bytes,
                        std::uint64_t chunk_bytes) noexcept {
  LANCE_CHECK(network_lanes > 0 && shards > 0 && chunk_bytes > 0, network_lanes, shards);
  memory_plan plan;
  const auto network = std::min(memory_bytes / 4 / network_lanes, shard_memory_max / 4);
  const auto shard = std::min(memory_bytes / 2 / shards, shard_memory_max / 2);
  plan.reply = buffers(shard / 2, reply_buffer_bytes, reply_buffers_min);
  // What the largest batch needs beyond the quarter, the receive buffers do without.
  const auto beyond = plan.reply.total() - std::min(shard / 2, plan.reply.total());
  plan.receive = buffers(network - std::min(network, beyond * shards / network_lanes),
                         receive_buffer_bytes, 1);
  plan.append = buffers(shard, chunk_bytes, 2);
  plan.largest_frame_bytes = plan.append.total() - chunk_bytes;
  plan.total =
      network_lanes * plan.receive.total() + shards * (plan.reply.total() + plan.append.total());
  return plan;
}

} // namespace lance::runtime
