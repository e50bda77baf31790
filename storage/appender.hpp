// The ingestion side of one log: gives each batch its place and writes its bytes, once, into the
// image of the active segment. Decides rolling. Touches no disk and no clock.
//
// One per log, owned by the shard's ingestion actor, on its thread. The other side is storage::log,
// on the poller's; they meet only in sealed_run and append_grant. The pool outlives it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "runtime/buffer_pool.hpp"
#include "storage/options.hpp"
#include "storage/sealed_run.hpp"

namespace lance::storage {

/// A batch as it came. The pieces together are the payload, already verified against payload_crc.
struct append_request {
  std::span<const byte_view> payload;
  std::uint32_t payload_crc = 0;
  wire::checksum_kind payload_sum = wire::checksum_kind::iso_hdlc;
  std::uint32_t record_count = 0;
  std::uint16_t flags = 0; ///< batch_flag::control, batch_flag::source_compressed
  std::uint32_t producer_epoch = 0;
  std::uint64_t producer_id = 0;
  std::uint64_t producer_sequence = 0;
  std::uint64_t wall_ns = 0; ///< now; a clock that went back does not take the log's times back
};

/// Who stamps: the node and actor parts of sort keys.
struct stamp_identity {
  node_id node;
  std::uint8_t actor = 0; ///< the shard
};

class appender {
 public:
  appender(const append_start& start, const options& chosen, runtime::buffer_pool& pool,
           stamp_identity identity);

  /// Appends a batch in memory; nothing is durable. Errors, with nothing changed: too_large,
  /// invalid_request (no payload and not a control batch), exhausted (the pool is dry, the last
  /// runs are not collected, or a grant is under way: try again), read_only (disk full, fenced,
  /// damaged or closed).
  [[nodiscard]] result<sealed_batch> append(const append_request& request);

  /// Appends a batch exactly as another node's log has it, header bytes included; a header that
  /// starts a segment rolls here too. Errors as append(), and bad_format when the header does not
  /// follow: number, offset, record, chain, log, time or segment rule.
  [[nodiscard]] result<sealed_batch> append_copy(byte_view header,
                                                 std::span<const byte_view> payload);

  /// Moves what was appended since the last call, of one segment, into `into` (whose memory is
  /// taken in exchange). False and `into` cleared when there is nothing. After a roll there are two
  /// runs: call until false.
  [[nodiscard]] bool collect(sealed_run& into);

  /// What a batch of an idempotent producer is to this log. `fresh`: append it; also where the log
  /// takes nothing, as append() says then, since what stands here may not have reached the disk.
  /// Forgets producers that have been silent for long when there is no room for another.
  [[nodiscard]] producer_judgement judge(const producer_stamp& stamp, std::uint64_t wall_ns);

  void set_grant(const append_grant& grant) noexcept { grant_ = grant; }
  /// The segment takes no more batches: the next one begins another. Returns which segment that is,
  /// for storage::log::end_segment() once all runs were collected; nothing when there is none.
  std::optional<segment_id> end_segment() noexcept;
  /// The term stamped on the following batches. Never goes back.
  void set_term(term now);

  /// What another appender goes on with, here or on another thread: leadership changes who appends.
  /// All runs were collected; this one takes nothing more.
  [[nodiscard]] append_start hand_over();

  /// Gives the head buffer back, keeping the partial block by copy. For idle logs when the pool is
  /// short. False if there is none or it holds batches not collected yet.
  bool release_idle();
  [[nodiscard]] bool holds_buffer() const noexcept { return static_cast<bool>(head_.buffer); }

  [[nodiscard]] log_id log() const noexcept { return at_.log; }
  [[nodiscard]] batch_number next_number() const noexcept { return at_.next_number; }
  [[nodiscard]] byte_offset end_offset() const noexcept { return at_.next_offset; }
  [[nodiscard]] record_number end_record() const noexcept { return at_.next_record; }
  [[nodiscard]] log_state state() const noexcept { return grant_.state; }
  [[nodiscard]] std::uint64_t last_time_ns() const noexcept { return at_.last_time_ns; }

 private:
  [[nodiscard]] bool takes_batches() const noexcept {
    return grant_.state == log_state::open || grant_.state == log_state::no_space ||
           grant_.state == log_state::stalled;
  }
  struct place;                                                 // where the next batch would go
  enum class rolling : std::uint8_t { never, when_ready, now }; // before the segment is full
  [[nodiscard]] result<place> find_place(std::uint64_t image_bytes, rolling wish) const;
  [[nodiscard]] result<> reserve(const place& where, std::uint64_t image_bytes);
  void begin_segment(segment_id segment);
  void stamp(batch_header& header, const append_request& request);
  result<sealed_batch> seal(const place& where, batch_header& header, const std::byte* encoded,
                            std::span<const byte_view> payload);
  void write(byte_view bytes);
  void enter_next_chunk();
  void note_chunk();
  void zero_block_rest();

  append_start at_;
  options options_;
  runtime::buffer_pool& pool_;
  stamp_identity identity_;
  wire::sort_key_source keys_;
  term term_;
  append_grant grant_;
  image_chunk head_;                          // the chunk being filled; may be empty
  std::uint64_t zeroed_to_ = 0;               // file position up to which the head is defined
  std::vector<runtime::buffer_ref> reserved_; // taken before writing, so that append is all or none
  producer_table producers_;
  sealed_run filling_;
  sealed_run finished_; // of the segment before, when a roll came before collect()
};

} // namespace lance::storage
