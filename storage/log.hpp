// One log as the poller sees it: its segments, the active file, what is durable, and the way back
// for readers. Takes sealed runs in order, writes them in commit groups, one group under way at a
// time, and says what became durable.
//
// Plain core style: calls take the time and inputs; what happened is collected by take_progress().
// Between calls the log acts only in completions of its own files and jobs, on the same thread.
//
// Owned by the shard's poller, on its thread. Everything in log_environment outlives it. Destroy it
// only when idle() (or, in a simulated crash, together with the disk's memory of it).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/blocking_thread.hpp"
#include "runtime/clock.hpp"
#include "storage/damage.hpp"
#include "storage/fence_note.hpp"
#include "storage/file.hpp"
#include "storage/index.hpp"
#include "storage/options.hpp"
#include "storage/retention.hpp"
#include "storage/sealed_run.hpp"
#include "storage/segment.hpp"
#include "storage/segment_removal.hpp"
#include "storage/spare_shelf.hpp"
#include "storage/tail_cache.hpp"

namespace lance::storage {

class log;

/// Told when a log has progress to take. Called on the poller's thread, from within a call on the
/// log or a completion; must not call the log back, only note it.
class log_owner {
 public:
  virtual void log_changed(log& which) = 0;

 protected:
  ~log_owner() = default;
};

/// What the logs of a shard share.
struct log_environment {
  disk* door = nullptr;
  tail_cache* cache = nullptr;
  const runtime::clock* clock = nullptr;
  /// Runs the slow deeds (preparing, closing, directory syncs) off the lane; null runs them inline.
  /// Its deliver() is called by the lane.
  runtime::job_runner* helper = nullptr;
  log_owner* owner = nullptr; ///< may be null
  /// What dropped segments may keep of the disk to be segments again; null: nothing.
  recycle_budget* recycled = nullptr;
  /// What closed segments that are read again and again may take of the page cache; null: nothing.
  reread_budget* reread = nullptr;
  std::string quarantine; ///< directory for what recovery sets aside; made when needed
  options chosen;
};

/// How a log is kept; from its topic.
struct log_policy {
  log_id log;
  std::string directory; ///< made when missing
  durability level = durability::fsync;
  bool direct = true; ///< O_DIRECT where the file system can
  /// Longest wait of a group's first batch while the device is free; 0 writes at once. Trades
  /// latency for fewer device operations at low rates.
  std::uint64_t linger_ns = 0;
  retention_policy retention;
  /// Bytes allocated at a time; 0: as the options say. Less for a log whose batches are small.
  std::uint64_t allocate_bytes = 0;
  bool space_held = false; ///< see log::hold_space()
  /// The operator's command: a log that is fenced (fence_note.hpp) is recovered from the device and
  /// goes on, unless it turns out damaged.
  bool lift_fence = false;
};

/// What recovery found; for the log line and the metrics.
struct recovery_report {
  std::uint64_t closed_segments = 0;
  std::uint64_t batches_walked = 0; ///< verified header and payload, beyond the index's word
  std::uint64_t bytes_walked = 0;
  std::uint64_t quarantined_bytes = 0; ///< set aside from behind the last whole batch
  /// Fenced for want of room alone: what lies behind the end could not be set aside and is where it
  /// was. Opening the log again may do better.
  bool waits_for_room = false;
  std::uint64_t indexes_rebuilt = 0;
  std::uint64_t closes_finished = 0; ///< segments a crash had left half closed
  std::uint64_t files_set_aside = 0; ///< whole files: segments that had no name yet
  std::optional<fence_note> fenced;  ///< why the log takes no writes
  bool damaged = false;
  batch_number damaged_at; ///< the first batch that does not verify, if damaged
};

/// What happened since the last take_progress().
struct log_progress {
  /// All batches below this number are durable (at this log's level), up to these ends.
  batch_number durable_next;
  byte_offset durable_end;
  record_number durable_records;
  std::uint64_t batches = 0; ///< that became durable since the last call

  log_state state = log_state::open;
  /// Set once, when the log is fenced: batches [durable_next, failed_end) are not acknowledged.
  bool failed = false;
  batch_number failed_end;
  error failure{};

  /// The grant differs from the one last taken: send it to the appender.
  bool grant_changed = false;
  append_grant grant;

  std::uint64_t groups = 0; ///< finished since the last call
  std::uint64_t group_bytes = 0;
  std::uint64_t write_ns = 0; ///< of the last group
  std::uint64_t flush_ns = 0;

  std::uint64_t closed_segments = 0; ///< since the last call: these retention may drop
};

/// A batch found: the entry, and its number.
struct located_batch {
  batch_number number;
  index_entry entry;
};

class log {
 public:
  /// Blocks: opens or makes the directory and recovers. A damaged or fenced log opens, read-only,
  /// and its files are left as they are. Errors: io_failed, or bad_format for names that cannot be
  /// the directory's of this log. Nothing was deleted then. Starts nothing: any thread.
  static result<std::unique_ptr<log>> open(const log_environment& environment,
                                           const log_policy& policy);
  ~log();
  log(const log&) = delete;
  log& operator=(const log&) = delete;

  [[nodiscard]] const recovery_report& recovered() const noexcept;
  /// What the appender of this log begins with; space for it is made ready from here on. Call once,
  /// before the first submit().
  [[nodiscard]] append_start start();

  // -- writing ---------------------------------------------------------------------------------
  /// Takes the contents of `run` (left cleared, memory kept for reuse). Runs come in the
  /// appender's order. Nothing is written before pump(). With durability::memory the batches
  /// count as durable at once. On a fenced log the run is dropped and reported as failed.
  void submit(sealed_run& run);
  /// Starts the next commit group if one is due and the device is free. Call after submits, and
  /// when due_ns() comes. Completions start further groups by themselves.
  void pump(std::uint64_t now_ns);
  /// Work that is due now and then: index entries written behind, zero-writing ahead, lazy
  /// flushes, another try on a full disk. Call every options::tick_ns or so, steady time.
  void tick(std::uint64_t now_ns);
  /// Steady time at which pump() is next due because of linger; ~0 when not.
  [[nodiscard]] std::uint64_t due_ns() const noexcept;
  [[nodiscard]] log_progress take_progress();
  /// Nothing under way and nothing pending.
  [[nodiscard]] bool idle() const noexcept;
  /// Nothing is under way, though something may be pending: it may be destroyed, and loses that.
  [[nodiscard]] bool at_rest() const noexcept;
  /// A write or a flush is under way.
  [[nodiscard]] bool writing() const noexcept;
  /// Asks for an orderly end: pending batches are written, the active segment is closed (or left
  /// active when it is empty). Done when closed(); no submit() after. Keep ticking until then.
  void close();
  [[nodiscard]] bool closed() const noexcept;

  // -- what is here ----------------------------------------------------------------------------
  [[nodiscard]] log_id id() const noexcept;
  [[nodiscard]] const std::string& directory() const noexcept;
  [[nodiscard]] durability level() const noexcept;
  void set_level(durability level, std::uint64_t linger_ns); ///< from the next group on
  void set_retention(const retention_policy& policy);
  [[nodiscard]] log_state state() const noexcept;
  [[nodiscard]] batch_number start_number() const noexcept; ///< first batch kept
  [[nodiscard]] byte_offset start_offset() const noexcept;
  [[nodiscard]] record_number start_record() const noexcept;
  [[nodiscard]] batch_number durable_next() const noexcept;
  [[nodiscard]] byte_offset durable_end() const noexcept;
  [[nodiscard]] record_number durable_records() const noexcept;
  [[nodiscard]] std::uint64_t disk_bytes() const noexcept; ///< of all batches kept
  [[nodiscard]] std::size_t segment_count() const noexcept;
  /// `at` < segment_count(); ascending; the last may be active.
  [[nodiscard]] const segment_facts& segment_at(std::size_t at) const noexcept;
  [[nodiscard]] bool has_active() const noexcept;

  // -- finding: durable batches only; may open a closed segment, which blocks briefly ------------
  /// Errors of all: offset_out_of_range (below the start or not durable), io_failed; corrupt when
  /// the index of a segment is no index (the segment is doubted then).
  [[nodiscard]] result<located_batch> find_number(batch_number number);
  [[nodiscard]] result<located_batch> find_offset(byte_offset offset);
  [[nodiscard]] result<located_batch> find_record(record_number record);
  /// The first batch appended at or after the time.
  [[nodiscard]] result<located_batch> find_time(std::uint64_t time_ns);

  // -- retention -------------------------------------------------------------------------------
  /// What the log's policy asks for at this wall time.
  [[nodiscard]] retention_plan plan_retention(std::uint64_t wall_ns) const;
  /// Takes the leading closed segments all of whose batches are below `number` out of the log, to
  /// be removed with run(); one removal at a time. When nothing would stay that outlives a crash,
  /// the removal keeps the numbers, so that they never start again. Blocks briefly then, to look
  /// into the last index.
  [[nodiscard]] segment_removal take_before(batch_number number);
  /// After run(), always: what could not be removed becomes the front of the log again, and files
  /// that were kept its next segments.
  void put_back(segment_removal& removal);
  /// All three in one; blocks. Returns how many went.
  result<std::size_t> drop_segments_before(batch_number number);

  /// The appender takes nothing more for this segment (appender::end_segment()), and all its runs
  /// were submitted: it is closed as soon as they are durable, though none follows.
  void end_segment(segment_id which);
  /// An ended segment is not closed yet.
  [[nodiscard]] bool ending() const noexcept;
  /// What the durable batches say of idempotent producers.
  [[nodiscard]] const producer_table& producers() const noexcept;
  /// Nothing can be dropped: what it holds of producers could not be written yet for want of room.
  [[nodiscard]] bool producers_owed() const noexcept;
  /// While held, no further space is allocated, and what was granted is all there is: the disk is
  /// needed for others. Said by state() no_space once space is wanted.
  void hold_space(bool held);

  // -- bit rot ---------------------------------------------------------------------------------
  /// What is known to be damaged, and what is doubted. Reads add to it; whoever looks through whole
  /// segments adds and takes off.
  [[nodiscard]] damage_list& damage() noexcept;
  /// True if the segment is one of ours, and closed.
  [[nodiscard]] bool is_closed_segment(segment_id segment) const noexcept;
  /// The index of a closed segment was written anew (and renamed over the old): reads go on with
  /// it. Blocks briefly. Nothing happens when there is no such segment.
  [[nodiscard]] result<> reload_index(segment_id segment);

  // -- for storage::reader ---------------------------------------------------------------------
  /// The segment that holds the batch, open, or an error as above.
  [[nodiscard]] result<std::shared_ptr<segment>> segment_of(batch_number number);
  /// The file to read so many bytes of the segment from: the device, or the page cache when the
  /// segment is read again and again (reread.hpp). May open it, which blocks briefly.
  [[nodiscard]] file& file_to_read(const std::shared_ptr<segment>& in, std::uint64_t bytes);
  /// Bytes of the segment's file from `position` on that are in memory: not written yet, or in the
  /// tail cache. Empty when not. Holds until the next call that is not const.
  [[nodiscard]] byte_view in_memory(segment_id segment, std::uint64_t position) const noexcept;

 private:
  struct core;
  explicit log(std::unique_ptr<core> made);
  std::unique_ptr<core> core_;
};

} // namespace lance::storage
