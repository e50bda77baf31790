// Ingest on one connection: in a closed loop, where a fixed number of frames is in flight and each
// acknowledgement lets the next one go, or at a rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/load_connection.hpp"
#include "bench/measured.hpp"
#include "runtime/types.hpp"
#include "wire/frame.hpp"

namespace lance::bench {

struct ingest_plan {
  std::uint32_t record_bytes = 1024; ///< with the five bytes of its TLV header
  std::uint32_t batch_records = 128; ///< per frame
  std::uint32_t window_frames = 8;   ///< in flight
  std::uint64_t frames = 0;          ///< ends after this many; 0: when the time is over
  /// Frames are due at this rate of payload, and their latency counts from when they were due; 0:
  /// as fast as acknowledgements come. The window bounds what is in flight in either case.
  double mb_per_s = 0;
};

/// The part of the run that counts, on the steady clock.
struct span_ns {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Of the counted part.
struct ingest_outcome {
  std::uint64_t frames = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t refused = 0; ///< answered by a backpressure frame: not stored
  std::uint64_t sends = 0;   ///< system calls
  latencies acks;            ///< from just before the first byte is handed to the socket, or due
};

/// Holds `window_frames` prepared frames side by side, checksums made once; sending patches the
/// batch id, which no checksum covers, and never copies.
class ingest_loop {
 public:
  ingest_loop(load_connection& connection, log_id log, const ingest_plan& plan);
  /// Runs until the span ends or the plan's frames are sent, and until all are answered.
  [[nodiscard]] ingest_outcome run(span_ns counted);

 private:
  void build_frames(log_id log);
  void send_what_fits();
  void receive_answers();
  void take_answer(const wire::frame_cut& answer);
  [[nodiscard]] bool may_send_more() const noexcept;
  [[nodiscard]] std::uint64_t due_ns(std::uint64_t frame) const noexcept;

  load_connection& connection_;
  ingest_plan plan_;
  std::size_t frame_bytes_;
  std::vector<std::byte> frames_;
  std::vector<std::uint64_t> sent_ns_; // per slot
  std::vector<std::byte> received_;
  std::size_t received_bytes_ = 0;
  wire::frame_cutter cutter_;
  span_ns counted_;
  std::uint64_t began_ns_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t prepared_ = 0; // frames with an id and a time
  std::uint64_t answered_ = 0;
  std::uint64_t sent_bytes_ = 0;
  ingest_outcome outcome_;
};

} // namespace lance::bench
