// The bytes a leader sends beside its appends: batches of its own log, from memory where they are
// there, else read from segments. Nothing is copied here: what is found in memory is views, and a
// read has a buffer of its own.
//
// Owned by a replica, on its thread.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "cluster/raft.hpp"
#include "storage/reader.hpp"

namespace lance::cluster {

/// Where a batch stands that is not durable yet: the log finds only those that are.
struct placed_batch {
  batch_number number;
  storage::segment_id segment;
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
};

class replica_feed {
 public:
  /// Reads under way for messages whose batches had left the memory: enough for all followers of a
  /// group. Beyond, a message is lost, as any may be.
  static constexpr std::size_t late_reads_max = 8;

  using wake = void (*)(void* context);
  replica_feed(storage::reader& reader, wake waker, void* context);

  ~replica_feed();
  replica_feed(const replica_feed&) = delete;
  replica_feed& operator=(const replica_feed&) = delete;

  void appended(const storage::sealed_run& run);
  void durable(batch_number end);
  /// The log was opened anew: everything in it is durable.
  void begin() { pending_.clear(); }

  /// Batches [from, end) as pieces of memory, headers included, valid until the log or this is
  /// used otherwise. False: not all of them are in memory.
  [[nodiscard]] bool gather(storage::log& log, node_id to, batch_number from, batch_number end,
                            std::vector<byte_view>& pieces);
  /// Reads the durable batches of the append, and then has it sent; false when too many wait.
  [[nodiscard]] bool read_late(storage::log& log, const message& what);
  void fetch(storage::log& log, const fetch_request& what);

  /// A read has ended: `late` to be sent with `bytes`, or a fetch, whose batches gather() finds for
  /// that node until the next take().
  struct outcome {
    std::optional<message> late;
    fetched_range fetched;
    bool failed = false;
    byte_view bytes;
  };
  [[nodiscard]] bool take(outcome& into);
  /// Nothing is under way: the log may go.
  [[nodiscard]] bool idle() const noexcept;
  /// What was asked for is of no use any more.
  void forget();

 private:
  class reading;
  reading& begin(storage::log& log, batch_number from, batch_number end, std::uint64_t bytes);

  storage::reader& reader_;
  wake waker_;
  void* context_;
  std::deque<placed_batch> pending_; // ascending, without gaps
  std::vector<std::unique_ptr<reading>> reads_;
  std::unique_ptr<reading> taken_;
};

} // namespace lance::cluster
