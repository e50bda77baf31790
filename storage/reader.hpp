// Reads of a log: payload bytes from an offset on, gathered around the batch headers, from the tail
// cache where it has them and else from the segment files through pooled buffers. Never past what
// is durable, nor past the limit the caller gives (the committed end).
//
// One per shard, on the poller's thread. At most options::read_depth operations use the disk at one
// time, less when the owner says so; further ones wait their turn in the order they came. None at
// all: those that have begun stop before their next piece, too.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/buffer_pool.hpp"
#include "storage/log.hpp"

namespace lance::storage {

enum class read_shape : std::uint8_t {
  bytes,   ///< payload bytes [start, start + n), beginning and ending anywhere
  batches, ///< payloads of whole batches, the first one the one that holds `start`
  image,   ///< whole batches with their headers, control batches included: for replication
};

struct read_outcome {
  byte_offset start;        ///< of the first byte returned: higher than asked below the log's start
  byte_offset next;         ///< where to go on
  batch_number next_number; ///< where to go on, by batch (shapes `batches` and `image`)
  std::uint32_t bytes = 0;  ///< written into `into`
  bool from_memory = false; ///< the tail cache had all of it
};

/// One read. The owner fills in the request, keeps operation, `into` and the log alive until
/// finished(), and may start it again from within.
class read_operation {
 public:
  read_shape shape = read_shape::bytes;
  byte_offset start;
  /// Shape image: starts at this batch, and `start` is ignored.
  std::optional<batch_number> start_number;
  byte_offset limit{~std::uint64_t{0}};         ///< not past this offset (the committed end)
  batch_number limit_number{~std::uint64_t{0}}; ///< nor this batch
  /// The room; its size is the most that is returned. Shapes `batches` and `image` need room for
  /// the first batch, else too_large.
  byte_span into;
  /// Filled with the batches touched, in order; its memory is kept. Entries are whole batches, of
  /// which the first and last may be returned in part only (shape bytes).
  std::vector<located_batch> batches;
  /// The batch because of which a read ended early, or with `corrupt`: it does not verify. Readers
  /// go on at its end. Not set when the index is in doubt, not the batch.
  std::optional<damaged_batch> damaged;

  /// `bytes` == 0 with next == start: nothing there (yet). A start beyond the durable end or the
  /// limit: offset_out_of_range. Further errors: corrupt (the first batch does not verify or was
  /// lost to damage, or the index does not hold; nothing of it is returned), io_failed, too_large.
  /// A batch further on that does not verify ends the read before it, with success.
  virtual void finished(result<read_outcome> outcome) = 0;

 protected:
  read_operation();
  virtual ~read_operation();

 private:
  friend class reader;
  struct progress;
  std::unique_ptr<progress> progress_;
  read_operation* next_waiting_ = nullptr;
};

class reader {
 public:
  /// Buffers of `pool` (the poller's own thread takes from it) hold what comes from disk, one per
  /// read under way.
  reader(runtime::buffer_pool& pool, const options& chosen);
  ~reader();
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;

  /// Starts a read; it may finish before this returns (always, when the tail cache has it all).
  ///
  /// No payload byte leaves from disk unverified: whatever part of a batch is wanted, all of it is
  /// read, its header held against index and chain of checksums, its payload summed. Only a batch
  /// larger than a buffer of the pool is remembered as verified until its segment is let go: then
  /// its parts are read alone, or a reader in small pieces would read it once per piece. A batch
  /// that does not verify is noted in the log's damage list, and refused from there afterwards.
  void start(read_operation& operation, log& from);
  /// From now on so many operations use the disk at one time, at most as many as the options say.
  /// Those under way go on, but with 0 only as far as they have asked the disk already.
  void allow(std::uint32_t operations);
  /// Whether what comes through the page cache may be read ahead of what is asked for: more than is
  /// allowed, then.
  void allow_read_ahead(bool allowed) noexcept { read_ahead_ = allowed; }
  [[nodiscard]] std::uint32_t under_way() const noexcept { return under_way_; }
  [[nodiscard]] std::uint64_t disk_bytes() const noexcept { return disk_bytes_; }
  /// Reads of the disk, since the reader was made.
  [[nodiscard]] std::uint64_t disk_reads() const noexcept { return disk_reads_; }
  [[nodiscard]] std::uint64_t disk_reads_done() const noexcept { return disk_reads_done_; }

 private:
  friend class read_operation;
  /// Operations that wait, in the order they came.
  struct line {
    void push(read_operation& operation) noexcept;
    read_operation& pop() noexcept;
    [[nodiscard]] bool empty() const noexcept { return first == nullptr; }
    read_operation* first = nullptr;
    read_operation* last = nullptr;
  };
  void finish(read_operation& operation, const result<read_outcome>& outcome);
  void start_waiting();

  runtime::buffer_pool& pool_;
  const std::uint32_t most_;
  std::uint32_t depth_;
  std::uint32_t under_way_ = 0;
  bool read_ahead_ = true;
  std::uint64_t disk_bytes_ = 0;
  std::uint64_t disk_reads_ = 0;
  std::uint64_t disk_reads_done_ = 0;
  line begun_;   // they have their slot and wait for their next piece
  line waiting_; // for a slot
};

} // namespace lance::storage
