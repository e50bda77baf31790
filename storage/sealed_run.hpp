// What travels between the two sides of a log: sealed batches from ingestion to the poller, and
// back what the poller grants. Plain data; owned by whoever holds it; nothing shared but buffers
// by counted handle.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "runtime/buffer_pool.hpp"
#include "storage/batch_header.hpp"
#include "storage/producer_table.hpp"

namespace lance::storage {

/// A segment is named by its first batch: number and append time.
struct segment_id {
  batch_number first;
  std::uint64_t first_ns = 0;

  friend bool operator==(const segment_id&, const segment_id&) = default;
};

/// A batch that has its place: everything index, acknowledgement and replication need of it.
struct sealed_batch {
  batch_header header;
  segment_id segment;
  std::uint64_t position = 0; ///< of its header in the segment file

  [[nodiscard]] std::uint64_t file_end() const noexcept { return position + header.image_bytes(); }
};

/// An append buffer: the exact image of its file from `file_begin` (a multiple of block_bytes) on.
struct image_chunk {
  runtime::buffer_ref buffer;
  std::uint64_t file_begin = 0;

  [[nodiscard]] std::uint64_t file_capacity_end() const noexcept {
    return file_begin + buffer.size();
  }
  [[nodiscard]] image_chunk share() const noexcept { return {buffer.share(), file_begin}; }
};

/// What one turn of ingestion appended to one segment of one log, in order. Kept and reused:
/// clear() keeps the vectors' memory, and both sides pass runs by swap().
struct sealed_run {
  log_id log;
  segment_id segment;
  bool starts_segment = false; ///< the first batch here is the segment's first
  std::uint64_t begin = 0;     ///< file range of all batches: [begin, end)
  std::uint64_t end = 0;
  /// Chunks that hold [begin, end), ascending. A later chunk may begin before an earlier one ends
  /// (when ingestion let an idle chunk go); then the later one counts where both have a byte. The
  /// block of `end` is zero from `end` on until the next batch is written there.
  std::vector<image_chunk> chunks;
  std::vector<sealed_batch> batches;

  [[nodiscard]] bool empty() const noexcept { return batches.empty(); }
  void clear() noexcept {
    chunks.clear();
    batches.clear();
    starts_segment = false;
    begin = end = 0;
  }
};

enum class log_state : std::uint8_t {
  open,     ///< appends are taken
  no_space, ///< no further space could be allocated: appends beyond what was granted are refused
  stalled,  ///< the disk had no room for what was granted: appends are refused at once, what is
            ///< pending waits and is tried again
  fenced,   ///< a write or flush failed: read-only until an operator lifts it
  damaged,  ///< bytes that were once durable do not verify: read-only, left as found
  closed,   ///< finished by close(): nothing is taken any more
};

/// How far ingestion may go. Sent by the poller whenever it changes; the newest counts. Segments
/// are counted from the opening of the log: the one that was active then (or none) is number 0.
struct append_grant {
  log_state state = log_state::open;
  std::uint64_t segment = 0;    ///< the segment the poller has as active
  std::uint64_t limit = 0;      ///< bytes of it that are allocated: batches may end there, not past
  std::uint64_t next_limit = 0; ///< bytes allocated for the segment after it; 0: not ready yet
  /// Behind this position the next segment is begun as soon as it is ready.
  std::uint64_t roll_at = ~std::uint64_t{0};

  friend bool operator==(const append_grant&, const append_grant&) = default;
};

/// Where a log stands after opening: what its appender begins with.
struct append_start {
  log_id log;
  batch_number next_number;
  byte_offset next_offset;
  record_number next_record;
  term last_term;
  wire::sort_key last_key;
  std::uint64_t last_time_ns = 0;
  bool in_segment = false;                   ///< there is an active segment to go on with
  segment_id segment;                        ///< of it
  std::uint64_t position = 0;                ///< its end
  std::uint32_t previous_crc = 0;            ///< header_crc of its last batch
  std::array<std::byte, block_bytes> tail{}; ///< its last, partial block: position % block_bytes
  producer_table producers;
  append_grant grant;
  std::uint64_t segments_begun = 0; ///< since the opening of the log, as append_grant counts
};

} // namespace lance::storage
