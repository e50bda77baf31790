// Sizes and bounds of the disk side. Each has a unit, a default and a reason; validate() says which
// values cannot work.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/types.hpp"

namespace lance::storage {

using lance::durability;

/// O_DIRECT wants position, length and memory aligned to the device's block; 4096 serves them all.
inline constexpr std::uint64_t block_bytes = 4096;
/// The header record in front of every batch (batch_header.hpp).
inline constexpr std::uint64_t batch_header_bytes = 112;
/// Largest payload of one batch. LWP's own limit: a larger frame could not be fetched in one reply.
inline constexpr std::uint64_t max_payload_bytes = 16 * MiB;
/// A segment must take the largest batch and its header and still be mostly batches.
inline constexpr std::uint64_t min_segment_bytes = 32 * MiB;
/// Positions in a segment are 32 bits in the index.
inline constexpr std::uint64_t max_segment_bytes = 4 * GiB - block_bytes;

struct options {
  /// Largest payload that is taken. Smaller only where segments are to be small: in simulations.
  std::uint64_t payload_bytes_max = max_payload_bytes;
  /// Bytes per segment file, allocated ahead. 128 MiB: 0.1 s of this disk's bandwidth to copy, 8
  /// files per GiB, at most that much to walk after a crash without an index.
  std::uint64_t segment_bytes = 128 * MiB;
  /// Bytes allocated to the active segment at a time. Appends never outrun it, so that a full disk
  /// is known before a batch is taken. At least two of the largest batches: one may be on its way
  /// while the next step is being allocated.
  std::uint64_t allocate_bytes = 36 * MiB;
  /// Bytes zero-written ahead of the end while the log's device is idle: a flush into written
  /// blocks takes 220 us here, into merely allocated ones 370 (0 = none).
  std::uint64_t preallocate_bytes = 4 * MiB;
  /// Files of dropped segments kept to be a log's next ones, whose blocks are written from end to
  /// end. Two: retention drops about as many as are begun, now and then one more.
  std::uint32_t recycled_files = 2;
  /// Bytes of one commit group: 4 MiB is where the device's bandwidth has levelled off; a larger
  /// group would only make its first batch wait.
  std::uint64_t group_bytes = 4 * MiB;
  /// Bytes of append buffers kept for readers who follow, over all logs of a shard. Must be well
  /// below the append pool, which it lives in.
  std::uint64_t tail_cache_bytes = 64 * MiB;
  /// Reads from disk under way at one time, per shard: enough to keep the device busy (QD 4-8).
  /// While somebody writes, read_budget finds how many of them do not push the writes aside.
  std::uint32_t read_depth = 8;
  /// Closed segments of one log held open at a time; the least recently read is closed first.
  std::uint32_t open_segments = 16;
  /// Index entries written behind at once; 64 entries are one block.
  std::uint32_t index_group_entries = 64;
  /// Longest wait of a durable batch for its index entry, and of a full disk for the next try.
  std::uint64_t tick_ns = 50 * ms_in_ns;
  /// Longest time without a flush for logs that do not flush for acknowledgements.
  std::uint64_t lazy_flush_ns = 1 * s_in_ns;
  /// How fast closed segments are looked through for bit rot, and how often at least: faster when
  /// the pace would not do for the interval. Each 0: never. 8 MiB/s are a terabyte in 36 hours and
  /// an eightieth of what one disk of this class reads.
  std::uint64_t scrub_bytes_per_s = 8 * MiB;
  std::uint64_t scrub_interval_ns = 7 * 24 * 3600 * s_in_ns;
  /// What recovery may set aside, over all logs of a data directory: files and bytes. Met: nothing
  /// is set aside nor cut, and the log takes no appends.
  std::uint32_t quarantine_files = 1000;
  std::uint64_t quarantine_bytes = 1 * GiB;
};

/// Empty when the options can work, else a sentence that names the option and the bound.
[[nodiscard]] std::string_view validate(const options& chosen) noexcept;

} // namespace lance::storage
