// What loopback TCP gives between two blocking processes that do nothing else.
#pragma once

#include <cstddef>

#include <nlohmann/json.hpp>

namespace lance::bench {

/// Requests of one size, each answered by a reply of another before the next is sent. With
/// `in_flight` above 1 that many requests are out at a time.
struct round_trip_plan {
  std::size_t request_bytes = 1068;
  std::size_t reply_bytes = 44;
  unsigned in_flight = 1;
  double seconds = 1;
};
/// Latencies of the asking side, the rate of reply bytes, CPU seconds of both sides.
[[nodiscard]] nlohmann::json measure_round_trips(const round_trip_plan& plan);

/// One side sends from the same memory, the other receives into the same memory, in pieces of one
/// size.
struct bulk_plan {
  std::size_t piece_bytes = 256 * 1024;
  double seconds = 1;
};
[[nodiscard]] nlohmann::json measure_bulk(const bulk_plan& plan);

} // namespace lance::bench
