// A batch on its way: records gathered for one topic, then one ingest frame. Moved from part to
// part of a producer, one owner at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "client/delivery.hpp"
#include "runtime/types.hpp"
#include "wire/frame.hpp"

namespace lance::client {

/// A topic as a producer knows it. Lives as long as its producer.
struct outgoing_topic {
  std::string name;
  std::uint32_t partition = 0;
  log_id log;
  bool stale = false; ///< the server did not know it: to be looked up again
  // Of an idempotent producer, the send window's:
  std::uint32_t epoch = 0;    ///< that the next two are of
  std::uint64_t numbered = 0; ///< batches that have been given a number
  bool broken = false;        ///< one of them was given up: nothing behind it will be taken
};

struct outgoing_batch {
  outgoing_topic* topic = nullptr;
  std::uint64_t sequence = 0;   ///< of the producer: the order batches were begun in
  std::vector<std::byte> frame; ///< room for the header, then the payload
  std::uint64_t number = 0;     ///< of an idempotent producer, in its log and epoch; 0: none yet
  std::uint32_t records = 0;
  bool finished = false;                 ///< the header is written, but for the batch id
  bool sent = false;                     ///< all of it went out on this connection
  bool perhaps_stored = false;           ///< an earlier sending ended without an answer
  std::uint64_t begun_ns = 0;            ///< steady clock
  std::uint64_t sent_ns = 0;             ///< when sending began
  std::uint64_t payload_bytes_plain = 0; ///< before compression, once finished
  std::uint64_t charge = 0;              ///< bytes it takes of the producer's memory
  std::vector<delivery_callback> callbacks;

  [[nodiscard]] std::size_t payload_bytes() const noexcept {
    return frame.size() - wire::frame_header_bytes;
  }
};

using batch_ptr = std::unique_ptr<outgoing_batch>;

/// A batch and its end.
struct completed_batch {
  batch_ptr batch;
  client::fate fate = client::fate::refused;
  std::optional<failure> problem;
};

} // namespace lance::client
