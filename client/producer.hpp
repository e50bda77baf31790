// Sends records. They are gathered into batches per topic and partition, by size and linger, and
// sent by one background thread over one connection with several batches in flight. A connection
// that is lost is made again, with growing waits.
//
// What is promised: a record whose delivery says `acknowledged` is as durable as its topic's mode
// and durability say. By default a batch whose answer was lost with its connection is sent again
// (at least once: it may be stored twice); on_unknown::report tells its fate as `unknown` instead.
// Records of one topic keep their order, except around a server's Backpressure or transient refusal
// when more than one batch is in flight. An idempotent producer keeps the order always and stores
// each batch once: the server knows its batches by their numbers, also after a restart.
//
// Any number of threads may send. Callbacks run on a thread of their own, one at a time, and may
// send; from there a full producer refuses at once instead of waiting. They do not throw.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string_view>

#include "client/connector.hpp"
#include "client/delivery.hpp"
#include "client/histogram.hpp"
#include "client/record.hpp"
#include "client/send_window.hpp"

namespace lance::client {

struct producer_options {
  connection_options connection;
  /// Of payload. 64 KiB amortises a flush of the server's disk without delaying anybody's ack.
  std::size_t batch_bytes = 64 * KiB;
  /// How long the first record of a batch waits for others.
  std::chrono::microseconds linger{5000};
  /// Batches sent and not answered. Eight keep a disk busy that flushes one while taking the next.
  std::size_t in_flight_max = 8;
  /// Of all batches, open, waiting and in flight. When it is used up, send() waits.
  std::size_t memory_bytes = 64 * MiB;
  /// How long send() waits for memory.
  std::chrono::milliseconds send_timeout{30'000};
  /// From a batch's begin to giving it up, reconnects included.
  std::chrono::milliseconds delivery_timeout{120'000};
  client::framing framing = framing::records;
  /// Batches are sent as LZ4 envelopes where that makes them shorter.
  bool lz4 = false;
  client::on_unknown on_unknown = on_unknown::resend;
  /// Batches are numbered, and stored exactly once and in order while this producer lives. What has
  /// no answer is sent again until delivery_timeout, whatever `on_unknown` says. A server without
  /// that refuses everything (unsupported). A log knows 10,000 such producers a day: not for
  /// programs that are started for a record each.
  bool idempotent = false;
};

/// The views are needed only until send() returns.
struct outgoing_record {
  std::string_view topic;
  byte_view value;
  std::optional<byte_view> key = std::nullopt; ///< at most key_bytes_max; not in raw framing
  std::uint32_t partition = 0;
};

/// Counted in records, but for the batches and bytes.
struct producer_stats {
  std::uint64_t acknowledged = 0;
  std::uint64_t refused = 0;
  std::uint64_t unknown = 0;
  std::uint64_t batches = 0;       ///< acknowledged
  std::uint64_t payload_bytes = 0; ///< acknowledged, before compression
  std::uint64_t resent = 0;        ///< batches
  std::uint64_t connects = 0;
  histogram ack_latency; ///< of acknowledged records, from the begin of their batch
};

class producer {
 public:
  explicit producer(const producer_options& options);
  /// Gives up on what is not acknowledged yet: close() first. Not in a callback.
  ~producer();

  /// Takes the record. Blocks while the producer is full, for send_timeout at most, and while a
  /// topic is looked up that was not sent to before. Errors: exhausted (full), topic_not_found,
  /// too_large, invalid_request, closed (after close()), or what looking up the topic ended with.
  [[nodiscard]] outcome<> send(const outgoing_record& what, delivery_callback callback = {});
  /// The same with a future in place of the callback.
  [[nodiscard]] outcome<std::future<delivery>> send_with_future(const outgoing_record& what);

  /// Sends what has been gathered and waits until every record taken before has its end and its
  /// callback has run. Fails with timed_out, else with the first failure since the last flush().
  /// Blocks. Not in a callback.
  [[nodiscard]] outcome<> flush(deadline until);

  /// flush(), then no more. What has no answer at the deadline is given up. Blocks.
  outcome<> close(deadline until);

  [[nodiscard]] producer_stats stats() const;

 private:
  class state;
  std::unique_ptr<state> state_;
};

} // namespace lance::client
