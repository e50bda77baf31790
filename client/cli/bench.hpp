// The loops of `lnc bench`, each on raw connections with frames made beforehand, so that what is
// measured is the server and not the client library.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "client/connector.hpp"
#include "client/histogram.hpp"

namespace lance::client::cli {

struct bench_load {
  log_id log;
  std::uint32_t value_bytes = 0;
  std::uint32_t batch_records = 1;  ///< records per frame
  std::uint32_t window_records = 1; ///< in flight per connection
  std::uint64_t duration_ns = 0;
  double records_per_s = 0; ///< per connection; 0: as fast as the window allows
  bool stamped = false;     ///< values begin with the steady time they were due at
};

/// Latencies are counted per record, in ns. With a rate they begin when the record was due, not
/// when it could be sent: a server that stalls cannot hide what it kept from being sent.
struct bench_result {
  std::uint64_t records = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t refused = 0;  ///< by Backpressure
  std::uint64_t first_ns = 0; ///< steady time of begin and last answer
  std::uint64_t last_ns = 0;
  histogram latency;
  std::optional<failure> problem;

  /// Joins what another connection measured at the same time.
  void add(const bench_result& other);
};

/// Sends for the duration, then waits for the rest of the acknowledgements. Latency: to the ack.
[[nodiscard]] bench_result bench_produce(const connection_options& servers, const bench_load& load);

/// Reads the log from its start over and over, one request at a time, each for `fetch_bytes`.
/// Latency: of a request, counted once.
[[nodiscard]] bench_result bench_consume(const connection_options& servers, const bench_load& load,
                                         std::uint32_t fetch_bytes);

/// Follows the log from `start` until `stop` is set and `expected` records have been seen, and a
/// second longer at most. Latency: from the stamp of a batch's first record to its arrival here,
/// counted for each of its records.
[[nodiscard]] bench_result bench_follow(const connection_options& servers, const bench_load& load,
                                        byte_offset start, const std::atomic<bool>& stop,
                                        const std::atomic<std::uint64_t>& expected);

} // namespace lance::client::cli
