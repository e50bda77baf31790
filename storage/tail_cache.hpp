// The newest bytes of the logs of a shard, still in the append buffers they were written from, for
// consumers who follow. Holds counted handles; when the budget is met the oldest goes first.
//
// One per shard, on the poller's thread. Logs register a line each and outlive nothing: a line
// takes its chunks out when it is destroyed.
#pragma once

#include <cstdint>

#include "storage/ring.hpp"
#include "storage/sealed_run.hpp"

namespace lance::storage {

class tail_cache;

/// One log's part of the cache.
class tail_line {
 public:
  explicit tail_line(tail_cache& home) noexcept : home_(home) {}
  ~tail_line();
  tail_line(const tail_line&) = delete;
  tail_line& operator=(const tail_line&) = delete;

  /// Bytes [begin, end) of the segment lie in `chunk` (and may already be known from it).
  void add(segment_id segment, const image_chunk& chunk, std::uint64_t begin, std::uint64_t end);
  /// The longest run of bytes of the segment's file known from `position` on; empty when none. The
  /// view holds until the next add() or drop on this cache.
  [[nodiscard]] byte_view find(segment_id segment, std::uint64_t position) const noexcept;
  void clear();

 private:
  friend class tail_cache;
  struct entry {
    segment_id segment;
    image_chunk chunk;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  void drop_oldest();

  tail_cache& home_;
  ring<entry> entries_;
};

class tail_cache {
 public:
  /// `budget_bytes` counts whole buffers, as that is what they take from the pool.
  explicit tail_cache(std::uint64_t budget_bytes) noexcept : budget_bytes_(budget_bytes) {}
  tail_cache(const tail_cache&) = delete;
  tail_cache& operator=(const tail_cache&) = delete;

  /// Gives buffers back, oldest first, until at most `bytes` are held. For a dry pool.
  void shrink_to(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t held_bytes() const noexcept { return held_bytes_; }
  [[nodiscard]] std::uint64_t budget_bytes() const noexcept { return budget_bytes_; }

 private:
  friend class tail_line;
  std::uint64_t budget_bytes_;
  std::uint64_t held_bytes_ = 0;
  ring<tail_line*> order_; // one element per entry of any line, oldest first; null: its line went
};

} // namespace lance::storage
