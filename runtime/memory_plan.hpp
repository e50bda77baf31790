// How the memory for buffers is shared out among lanes and shards. Pure.
#pragma once

#include <cstdint>

#include "runtime/types.hpp"

namespace lance::runtime {

// Bounds, each for its reason.
inline constexpr std::uint64_t receive_buffer_bytes = 64 * KiB; ///< what a busy socket has at once
inline constexpr std::uint64_t reply_buffer_bytes =
    256 * KiB; ///< one read of the disk at full speed
/// The largest batch (16 MiB) with its heads is read whole for one reply.
inline constexpr std::uint64_t reply_buffers_min = 65;
/// With less, a shard cannot hold the largest frame (16 MiB) beside what is being written.
inline constexpr std::uint64_t shard_memory_min = 48 * MiB;
/// With more, start-up pays for page faults that no load repays.
inline constexpr std::uint64_t shard_memory_max = 192 * MiB;

struct buffers_plan {
  std::uint32_t count = 0;
  std::uint64_t bytes = 0; ///< of one buffer
  [[nodiscard]] std::uint64_t total() const noexcept { return count * bytes; }
};

struct memory_plan {
  buffers_plan receive;                  ///< of each network lane
  buffers_plan append;                   ///< of each shard; the tail cache keeps some of them
  buffers_plan reply;                    ///< of each shard, at least the largest batch
  std::uint64_t largest_frame_bytes = 0; ///< fits a shard beside one chunk in flight
  std::uint64_t total = 0;               ///< of all lanes and shards
};

/// The receive buffers of the network lanes and the reply buffers of the shards get a quarter each,
/// the append chunks of the shards half. More than `memory_bytes` only where that is less than the
/// least LANCE runs with.
[[nodiscard]] memory_plan plan_memory(unsigned network_lanes, unsigned shards,
                                      std::uint64_t memory_bytes,
                                      std::uint64_t chunk_bytes) noexcept;

} // namespace lance::runtime
