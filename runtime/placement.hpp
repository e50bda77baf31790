// Which actor runs on which lane, which lane on which CPU, and how memory is shared out. Pure: what
// the machine is and what the operator wants go in, a plan with its reasons comes out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/machine.hpp"
#include "runtime/memory_plan.hpp"
#include "runtime/types.hpp"

namespace lance::runtime {

enum class idle_request : std::uint8_t { automatic, spin, park };
enum class idle_policy : std::uint8_t { spin, park }; ///< park: spin briefly, then block

struct placement_request {
  unsigned network = 0;  ///< network lanes; 0: chosen here
  unsigned ingest = 0;   ///< ingest lanes, one per shard; 0: chosen here
  unsigned io = 0;       ///< I/O lanes; 0: chosen here
  std::vector<int> cpus; ///< only these CPUs, and pinned to them; empty: all that are allowed
  idle_request idle = idle_request::automatic;
  bool numa = true;               ///< place lanes near the network card and the disk
  std::uint64_t memory_bytes = 0; ///< for buffers; 0: a quarter of the limit, within the caps below
  std::uint64_t chunk_bytes = 256 * KiB; ///< of the append chunks: one device write
};

// Bounds, each for its reason.
inline constexpr unsigned shards_max = 32; ///< more append streams only lengthen a disk's queue
inline constexpr unsigned lanes_max = 96;  ///< 32 shards with a lane for each stage
inline constexpr unsigned workers_max = 8; ///< default actors carry control work only
inline constexpr unsigned workers_min = 2; ///< one slow handler must not stop the others
inline constexpr unsigned separate_cores_min = 8; ///< below, a lane per stage leaves no core free

struct lane_plan {
  int cpu = -1;  ///< pinned here; -1: the kernel chooses among the allowed CPUs
  int node = -1; ///< memory of the lane's pools is bound here; -1: not bound
  idle_policy idle = idle_policy::park;
};

struct shard_plan {
  unsigned ingest_lane = 0; ///< index into placement::lanes
  unsigned io_lane = 0;
};

struct placement {
  std::vector<lane_plan> lanes;
  std::vector<unsigned> network_lanes; ///< lanes that carry a network actor
  std::vector<shard_plan> shards;      ///< shard s owns the logs with log_id mod shards.size() == s
  bool fused = true;                   ///< network, ingestion and poller of a shard share one lane
  unsigned workers = workers_min;      ///< threads for all other actors
  std::vector<int> worker_cpus; ///< allowed CPUs without a pinned lane; all when none is left
  memory_plan memory;
  std::vector<std::string> why; ///< sentences for people, in the order of the decisions
};

/// Always an answer: what is asked for and does not fit is cut down, and `why` says so.
[[nodiscard]] placement place(const machine& machine, const placement_request& request);

} // namespace lance::runtime
