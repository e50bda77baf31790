// Sealed batches of one log that are not on disk yet, and the commit groups cut from them. Decides
// what one group is and which aligned pieces of which buffers it writes; does no I/O.
//
// Part of a log, on its thread. Bounded by what ingestion was granted: the append pool.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "storage/file.hpp"
#include "storage/ring.hpp"
#include "storage/sealed_run.hpp"

namespace lance::storage {

/// The longest front of the queue that is written at once. Never more than one segment's.
struct commit_group {
  segment_id segment;
  bool starts_segment = false;
  std::size_t batches = 0;
  std::uint64_t begin = 0; ///< file position of the first batch
  std::uint64_t end = 0;   ///< behind the last

  /// What is written: whole blocks. The first is written again with more in it than before; only
  /// one group is under way at a time, so no older content can come after.
  [[nodiscard]] std::uint64_t write_begin() const noexcept {
    return align_down(begin, block_bytes);
  }
  [[nodiscard]] std::uint64_t write_end() const noexcept { return align_up(end, block_bytes); }
};

class commit_queue {
 public:
  /// Takes over the run's batches and chunks; the run is left cleared.
  void push(sealed_run& run);
  [[nodiscard]] bool empty() const noexcept { return batches_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return batches_.size(); }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; } ///< of all batches
  [[nodiscard]] const sealed_batch& batch(std::size_t at) const noexcept { return batches_[at]; }

  /// The next group: at most `group_bytes`, at least one batch. Not when empty().
  [[nodiscard]] commit_group next(std::uint64_t group_bytes) const noexcept;
  /// The group's pieces, each from one buffer, ascending and adjoining, appended to `parts`.
  void cut(const commit_group& group, std::vector<write_part>& parts) const;

  struct written_chunk {
    segment_id segment;
    image_chunk chunk;
    std::uint64_t begin = 0; ///< valid bytes of the file in the chunk
    std::uint64_t end = 0;
  };
  /// The group is on disk: forgets its batches, hands each chunk with bytes up to the group's end
  /// to `seen(chunk, begin, end)`, and lets go of chunks that have nothing more to write.
  template <class Seen>
  void pop(const commit_group& group, Seen seen);
  void clear();

  /// Bytes of the segment's file from `position` on, in a chunk here; empty when there are none.
  [[nodiscard]] byte_view find(segment_id segment, std::uint64_t position) const noexcept;

 private:
  void add_chunk(segment_id segment, image_chunk&& chunk, std::uint64_t end);

  ring<sealed_batch> batches_;
  ring<written_chunk> chunks_; // ascending; a later one counts where two overlap
  std::uint64_t bytes_ = 0;
};

template <class Seen>
void commit_queue::pop(const commit_group& group, Seen seen) {
  for (std::size_t i = 0; i < group.batches; ++i)
    bytes_ -= batches_.pop().header.image_bytes();
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const auto& known = chunks_[i];
    if (known.segment != group.segment || known.begin >= group.end)
      break;
    seen(known.chunk, known.begin, std::min(known.end, group.end));
  }
  while (!chunks_.empty() && chunks_.front().segment == group.segment &&
         chunks_.front().end <= group.end)
    chunks_.pop();
}

} // namespace lance::storage
