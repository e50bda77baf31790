// Gathers records into batches, one open batch per topic, and says when one is complete: when the
// next record does not fit, or when its first record has lingered long enough. Plain code: times
// come in as arguments. One thread at a time (the producer's lock).
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "client/outgoing_batch.hpp"
#include "client/record.hpp"

namespace lance::client {

struct accumulator_options {
  /// A batch is sealed rather than grow beyond this; a longer record makes a batch of its own.
  std::size_t batch_bytes = 64 * KiB;
  std::uint64_t linger_ns = 5 * ms_in_ns;
  client::framing framing = framing::records;
};

class accumulator {
 public:
  explicit accumulator(const accumulator_options& options) : options_(options) {}

  /// What an add() of a record with these bytes (encoded) will take of the producer's memory: the
  /// whole room of a batch if it begins one, else nothing.
  [[nodiscard]] std::uint64_t charge_for(const outgoing_topic& topic, std::size_t bytes) const;

  /// Adds the record. Batches that are complete by that go to the back of sealed().
  void add(outgoing_topic& topic, std::optional<byte_view> key, byte_view value,
           delivery_callback callback, std::uint64_t now_ns);

  /// Seals what has lingered long enough; `all`: whatever is open.
  void seal_expired(std::uint64_t now_ns, bool all = false);

  /// When the oldest open batch will have lingered long enough; ~0 when none is open.
  [[nodiscard]] std::uint64_t next_expiry_ns() const noexcept;

  /// Sealed batches in the order they were begun per topic. The caller takes them away.
  [[nodiscard]] std::vector<batch_ptr>& sealed() noexcept { return sealed_; }

  /// Batches begun from now on are no longer than this: the server's own bound.
  void limit_batches(std::size_t bytes) noexcept {
    options_.batch_bytes = std::min(options_.batch_bytes, bytes);
  }

  /// Gives a batch's memory back for the next one.
  void recycle(batch_ptr batch);

  [[nodiscard]] std::uint64_t last_sequence() const noexcept { return last_sequence_; }
  [[nodiscard]] bool empty() const noexcept { return open_.empty() && sealed_.empty(); }

 private:
  [[nodiscard]] batch_ptr begin(outgoing_topic& topic, std::size_t bytes, std::uint64_t now_ns);
  [[nodiscard]] bool fits(const outgoing_batch& batch, std::size_t bytes) const noexcept {
    return batch.payload_bytes() + bytes <= options_.batch_bytes;
  }

  accumulator_options options_;
  std::unordered_map<const outgoing_topic*, batch_ptr> open_;
  std::vector<batch_ptr> sealed_;
  std::vector<batch_ptr> spare_;
  std::uint64_t last_sequence_ = 0;
};

} // namespace lance::client
