// Fetches of a log on one connection, from its start, with a fixed number of requests in flight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "bench/load_connection.hpp"
#include "bench/measured.hpp"
#include "runtime/types.hpp"

namespace lance::bench {

struct fetch_plan {
  log_id log{};
  std::uint64_t log_bytes = 0;             ///< payload bytes of it to read
  std::uint32_t fetch_bytes = 1024 * 1024; ///< asked for; the broker may give less
  std::uint32_t in_flight = 1;
  bool once = false; ///< ends at log_bytes; otherwise begins again until the time is over
};

struct fetch_outcome {
  std::uint64_t replies = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t short_replies = 0; ///< less than was asked for and was there
  std::uint64_t verified = 0;      ///< replies whose checksum was computed here
  /// From the request's send to the reply's last byte. A quarter of a million: two minutes of the
  /// fastest reader here, and small enough for a crowd of them.
  latencies replies_taken{std::size_t{256} << 10};
};

/// The reply's header and head are judged, its data is received into one buffer and looked at only
/// in every 64th: the load must leave the cores to the broker.
class fetch_loop {
 public:
  /// Begins at `begin` of the log and goes on to the part before it.
  fetch_loop(load_connection& connection, const fetch_plan& plan, std::uint64_t begin = 0);
  /// Runs until the plan is done or the clock shows `end_ns`, and until all is answered.
  [[nodiscard]] fetch_outcome run(std::uint64_t end_ns);
  /// Data bytes of a full reply here, learnt from the first one.
  [[nodiscard]] std::uint32_t reply_bytes() const noexcept { return stride_; }

 private:
  struct range {
    std::uint64_t begin = 0;
    std::uint32_t bytes = 0;
  };
  struct open_request {
    range what;
    std::uint64_t sent_ns = 0;
  };
  [[nodiscard]] bool next_range(range& what);
  void ask(const range& what);
  [[nodiscard]] std::uint32_t take_reply();

  load_connection& connection_;
  fetch_plan plan_;
  std::uint32_t stride_;
  std::uint64_t begin_ = 0;
  std::uint64_t asked_bytes_ = 0; // of this pass
  std::deque<range> left_over_;   // of short replies
  std::deque<open_request> under_way_;
  std::vector<std::byte> data_;
  fetch_outcome outcome_;
};

} // namespace lance::bench
