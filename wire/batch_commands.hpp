// Our own hot commands: OffsetLookup (34/35) and FetchBatches (36/37), as fixed layouts. They are
// in wire/README.md, "Extension". Pure functions, any thread; views point into the payload given.
// Short or contradictory payloads are errc::invalid_request.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "wire/frame.hpp"

namespace lance::wire {

// --- OffsetLookup ------------------------------------------------------------------------------

enum class lookup_kind : std::uint8_t {
  earliest = 0,
  latest = 1,
  record = 2,  ///< `value` is a record number
  time_ns = 3, ///< `value` is ns since the Unix epoch: the first batch not older than that
};

struct offset_lookup_request {
  log_id log{};
  lookup_kind kind = lookup_kind::earliest;
  std::uint64_t value = 0; ///< 0 where the kind needs none
  friend bool operator==(const offset_lookup_request&, const offset_lookup_request&) = default;
};

/// Where the batch that was looked for begins; at the end of the log, where the next one will.
struct offset_lookup_reply {
  byte_offset offset{};
  record_number first_record{};
  std::uint64_t time_ns = 0; ///< when the batch was appended; 0 when there is none
  friend bool operator==(const offset_lookup_reply&, const offset_lookup_reply&) = default;
};

[[nodiscard]] std::array<std::byte, 16> encode(const offset_lookup_request& request) noexcept;
[[nodiscard]] std::array<std::byte, 24> encode(const offset_lookup_reply& reply) noexcept;
[[nodiscard]] result<offset_lookup_request> decode_offset_lookup(byte_view payload) noexcept;
[[nodiscard]] result<offset_lookup_reply> decode_offset_reply(byte_view payload) noexcept;

// --- FetchBatches ------------------------------------------------------------------------------

struct fetch_batches_request {
  log_id log{};
  byte_offset start{}; ///< inside a batch: that whole batch is returned
  std::uint32_t max_bytes = 0;
  std::uint32_t max_wait_ms = 0; ///< how long the reply may be held for min_bytes
  std::uint32_t min_bytes = 0;
  friend bool operator==(const fetch_batches_request&, const fetch_batches_request&) = default;
};

/// The published client gives up on a silent read after 30 s; so does ours. Longer waits are
/// refused when decoded.
inline constexpr std::uint32_t fetch_wait_ms_max = 20'000;

/// What precedes the batches. Without batches next is the request's start.
struct batches_head {
  byte_offset next{};
  record_number start_record{}; ///< of the first batch here
  byte_offset end{};            ///< of what readers may see of the log
  std::uint32_t batch_count = 0;
  friend bool operator==(const batches_head&, const batches_head&) = default;
};
inline constexpr std::size_t batches_head_bytes = 32;

/// The facts of one batch. All entries come first, then all payloads in the same order: so a server
/// reads payloads straight from its log into the reply.
struct batch_entry {
  byte_offset offset{};
  record_number first_record{};
  std::uint64_t time_ns = 0;
  std::uint32_t record_count = 0;
  std::uint32_t payload_length = 0;
  friend bool operator==(const batch_entry&, const batch_entry&) = default;
};
inline constexpr std::size_t batch_entry_bytes = 32;

/// A reply keeps within reply_payload_bytes_max unless its only batch is so long that it cannot: an
/// ingest payload of exactly payload_bytes_max must be readable too. Who sends FetchBatches accepts
/// replies of this length.
inline constexpr std::uint32_t batches_reply_bytes_max =
    payload_bytes_max + batches_head_bytes + batch_entry_bytes;

[[nodiscard]] std::array<std::byte, 32> encode(const fetch_batches_request& request) noexcept;
[[nodiscard]] std::array<std::byte, batches_head_bytes> encode(const batches_head& head) noexcept;
[[nodiscard]] std::array<std::byte, batch_entry_bytes> encode(const batch_entry& entry) noexcept;
[[nodiscard]] result<fetch_batches_request> decode_fetch_batches(byte_view payload) noexcept;

struct fetched_batch {
  batch_entry entry{};
  byte_view payload{};
};

/// A reply whose entries have all been checked to be there. Copies are cheap; the payload it was
/// made from outlives it.
class batches_view {
 public:
  [[nodiscard]] static result<batches_view> decode(byte_view payload) noexcept;

  [[nodiscard]] const batches_head& head() const noexcept { return head_; }

  /// The next batch, nothing after the last.
  [[nodiscard]] std::optional<fetched_batch> next() noexcept;

 private:
  batches_view(const batches_head& head, byte_view entries, byte_view data) noexcept
      : head_(head), entries_(entries), data_(data) {}

  batches_head head_;
  byte_view entries_; ///< of the batches not yet taken
  byte_view data_;    ///< their payloads
};

// --- 38 RegisterProducer, 39 ProducerRegistered ------------------------------------------------

/// Both ways the same: who the batches of a connection are from. In a request, producer 0 asks for
/// a new one, of epoch 0.
struct producer_identity {
  std::uint64_t producer = 0;
  std::uint32_t epoch = 0;
  friend bool operator==(const producer_identity&, const producer_identity&) = default;
};
[[nodiscard]] std::array<std::byte, 16> encode(const producer_identity& who) noexcept;
/// Errors: invalid_request (too short, an epoch of nobody).
[[nodiscard]] result<producer_identity> decode_producer(byte_view payload) noexcept;

} // namespace lance::wire
