// The writing half of a log: pending batches, the commit group under way, the active segment and
// the space ahead of it. One group at a time; nothing is acknowledged after a failed flush.
//
// Part of a log, on the poller's thread. Its jobs run on the helper thread and touch only what
// they were given.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "storage/commit_queue.hpp"
#include "storage/index_writer.hpp"
#include "storage/log.hpp"
#include "storage/open_log.hpp"
#include "storage/zero_writer.hpp"

namespace lance::storage {

class log_writer {
 public:
  /// `segments` is the log's list: the writer appends to it and grows its last. `changed` is called
  /// whenever there is progress to take, once until it is taken.
  log_writer(const log_environment& environment, const log_policy& policy, opened_log& opened,
             std::vector<std::shared_ptr<segment>>& segments, std::function<void()> changed);
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;

  /// Begins to make space ready.
  void begin() { keep_space(); }
  void submit(sealed_run& run);
  void pump(std::uint64_t now_ns);
  void tick(std::uint64_t now_ns);
  void close();
  void set_level(durability level, std::uint64_t linger_ns);
  void set_retention(const retention_policy& policy);
  void end_segment(segment_id which);
  void hold_space(bool held);
  [[nodiscard]] log_progress take_progress();
  /// The grant as of now; counts as taken.
  [[nodiscard]] append_grant take_grant();

  [[nodiscard]] std::uint64_t due_ns() const noexcept { return due_ns_; }
  [[nodiscard]] bool idle() const noexcept;
  [[nodiscard]] bool at_rest() const noexcept;
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] bool writing() const noexcept { return in_flight_; }
  [[nodiscard]] bool ending() const noexcept { return ending_.has_value() || !to_close_.empty(); }
  [[nodiscard]] log_state state() const noexcept;
  [[nodiscard]] bool has_active() const noexcept { return active_ != nullptr; }
  /// It has a flushed batch, and its name is durable too.
  [[nodiscard]] bool active_outlives_crash() const noexcept { return flushed_batches_ > 0; }
  [[nodiscard]] batch_number durable_next() const noexcept { return durable_next_; }
  [[nodiscard]] byte_offset durable_end() const noexcept { return durable_end_; }
  [[nodiscard]] record_number durable_records() const noexcept { return durable_records_; }
  /// The file `producers` does not hold for all closed segments: none may be dropped.
  [[nodiscard]] const producer_table& producers() const noexcept { return producers_; }
  [[nodiscard]] bool producers_owed() const noexcept { return !producers_owed_.empty(); }
  [[nodiscard]] spare_shelf& shelf() noexcept { return shelf_; }
  [[nodiscard]] const log_policy& policy() const noexcept { return policy_; }
  [[nodiscard]] byte_view in_memory(segment_id segment, std::uint64_t position) const noexcept;

 private:
  struct group_request final : write_request {
    explicit group_request(log_writer& owner) : home(owner) {}
    void parts_written() override { home.parts_written(); }
    void written(result<> outcome) override { home.group_written(outcome); }
    log_writer& home;
  };
  // A slow deed: `deed` runs on the helper thread (or here, without one), `then` here.
  struct cold_job final : runtime::blocking_job {
    void run() override { deed(); }
    void finish() override {
      busy = false;
      const auto follow = std::move(then); // it may start the job anew
      follow();
    }
    bool busy = false;
    std::function<void()> deed;
    std::function<void()> then;
  };
  struct closing_segment {
    std::shared_ptr<segment> which;
    std::size_t indexed = 0; // entries already in its index file
    std::vector<std::byte> producers;
  };

  // log_writer.cpp: groups
  void start_next(std::uint64_t now_ns);
  [[nodiscard]] bool lingers(std::uint64_t now_ns);
  void start_group(std::uint64_t now_ns);
  void start_flush();
  void parts_written();
  void group_written(result<> outcome);
  void flush_written(result<> outcome);
  void conclude_group();
  void expose_what_may();
  void expose_next();
  void fence(const error& why, std::string_view reason);
  void note_fence();
  void fence_noted();
  void drop_pending();
  void note_change();
  [[nodiscard]] append_grant grant() const noexcept;
  [[nodiscard]] std::uint64_t now() const noexcept { return environment_.clock->steady_ns(); }

  // log_writer_segments.cpp: segments and space
  void go_on_with_active(opened_log& opened);
  [[nodiscard]] bool enter_segment(segment_id id);
  void start_activation();
  void activated();
  void retire_active();
  void try_end_segment();
  void close_next();
  void segment_closed();
  void note_producers();
  void try_finish_close();
  void keep_space();
  void prepare();
  void prepared();
  void clear_shelf();
  [[nodiscard]] std::vector<std::string> take_shelf();
  void extend(std::uint64_t bytes);
  void extended();
  void note_space(const error* failure);
  [[nodiscard]] std::uint64_t step() const noexcept;
  [[nodiscard]] std::uint64_t roll_at() const noexcept {
    return roll_position(policy_.retention, environment_.chosen);
  }
  void zero_ahead(bool going_on);
  void start_job(cold_job& job);
  [[nodiscard]] bool writable() const noexcept { return !fenced_ && !damaged_ && !closed_; }

  log_environment environment_;
  log_policy policy_;
  std::vector<std::shared_ptr<segment>>& segments_;
  std::function<void()> changed_;
  tail_line line_;
  commit_queue queue_;
  std::size_t exposed_ = 0; // leading batches of the queue that count as durable already

  batch_number durable_next_;
  byte_offset durable_end_;
  record_number durable_records_;
  batch_number appended_next_; // behind the last batch submitted
  log_progress progress_;
  append_grant granted_;
  bool noted_ = false;

  // the active segment
  std::shared_ptr<segment> active_;
  std::uint64_t ordinal_ = 0; // segments begun since opening
  std::uint64_t allocated_ = 0;
  std::uint64_t written_end_ = 0;     // file position
  std::uint64_t written_batches_ = 0; // of the segment, from its first
  std::uint64_t flushed_batches_ = 0;
  std::uint64_t appended_end_ = 0; // file position behind the last batch submitted,
  segment_id appended_segment_;    // and the segment it is in

  // what is under way: a group, or a flush alone
  group_request request_{*this};
  commit_group group_;
  bool busy_ = false;
  bool in_flight_ = false; // the file has the request
  bool flush_only_ = false;
  bool parts_done_ = false;
  bool waits_for_name_ = false; // written, but the segment's directory entry is not durable yet
  std::uint64_t began_ns_ = 0;
  std::uint64_t parts_done_ns_ = 0;
  std::uint64_t last_flush_ns_ = 0;
  std::uint64_t waiting_since_ns_ = 0; // the first batch of the next group; 0: nobody
  std::uint64_t due_ns_ = ~std::uint64_t{0};

  index_writer index_;
  zero_writer zero_;
  cold_job activate_job_;
  cold_job space_job_;
  cold_job close_job_;
  cold_job fence_job_;
  cold_job producers_job_;
  result<std::unique_ptr<file>> activate_result_;
  result<std::unique_ptr<file>> prepare_result_;
  result<> extend_result_;
  result<std::unique_ptr<mapping>> close_result_;
  bool activation_failed_ = false; // for want of space: tried again
  std::uint64_t space_wanted_ = 0; // bytes the job under way allocates
  std::unique_ptr<file> spare_;
  std::uint64_t spare_bytes_ = 0;
  std::uint64_t spare_written_ = 0; // leading bytes of it whose blocks are written
  spare_shelf shelf_;
  ring<closing_segment> to_close_;
  std::unique_ptr<active_index> index_memory_; // of a closed segment, used again

  std::optional<segment_id> ending_; // takes no more batches, though none follows

  bool space_short_ = false;
  bool held_short_ = false; // space is wanted, but none may be allocated now
  bool stalled_ = false;
  bool fenced_ = false;
  bool damaged_ = false;
  bool closing_ = false;
  bool closed_ = false;
  error failure_{};
  fence_note note_;        // what the file `fenced` is to say
  bool note_owed_ = false; // and does not say yet
  std::uint64_t note_tried_ns_ = 0;
  result<> note_result_;
  producer_table producers_; // of the batches that count as durable
  std::vector<std::byte> producers_owed_;
  result<> producers_result_;
};

} // namespace lance::storage
