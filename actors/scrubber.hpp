// Looks through the closed segments of a shard for bit rot, a piece at a time, on the lane's helper
// thread: the pace is storage/scrub's, the judgement storage/segment_judge's. Damaged data is told
// and left as it is; a damaged index is written anew.
//
// Part of the poller, on its thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/buffer_pool.hpp"
#include "runtime/lane.hpp"
#include "runtime/metrics.hpp"
#include "storage/log.hpp"
#include "storage/scrub.hpp"
#include "storage/segment_judge.hpp"

namespace lance::actors {

struct scrub_target {
  log_id log;
  std::string directory;
  storage::segment_facts facts;
};

/// The poller, as its scrubber sees it.
class scrub_host {
 public:
  /// The first closed segment behind the one that begins with `after`, logs ascending by id.
  virtual std::optional<scrub_target> closed_after(log_id log, batch_number after) = 0;
  /// The closed segment that begins with `first`.
  virtual std::optional<scrub_target> closed_at(log_id log, batch_number first) = 0;
  /// Bytes of all closed segments.
  virtual std::uint64_t closed_bytes() = 0;
  /// Null when there is none any more.
  virtual storage::log* log_of(log_id log) = 0;
  /// A log's damage list has changed.
  virtual void damage_changed(storage::log& log) = 0;
  /// A piece is done: drive() again.
  virtual void scrub_advanced() = 0;

 protected:
  ~scrub_host() = default;
};

class scrubber {
 public:
  scrubber(scrub_host& host, runtime::lane& lane, runtime::metric_set& metrics,
           const storage::options& chosen, bool direct);
  ~scrubber();

  /// A segment of which something did not hold: before all others, also when scrubbing is off; but
  /// not again within a minute.
  void urge(log_id log, batch_number first);
  /// A log with closed segments has been opened: seen by this pass, or by one right behind it.
  void log_came(log_id log) noexcept;
  /// Starts the next piece if it is due.
  void drive(std::uint64_t now_ns);
  /// When to drive(); ~0 while a piece is under way.
  [[nodiscard]] std::uint64_t due_ns() const noexcept;
  /// No further piece is begun. Over when idle().
  void stop() noexcept { stopped_ = true; }
  [[nodiscard]] bool idle() const noexcept;
  void report_age(std::uint64_t now_ns);

 private:
  struct job;
  struct place {
    log_id log;
    batch_number first;
    std::uint64_t looked_ns = 0;
  };

  bool choose(std::uint64_t now_ns);
  void begin(scrub_target target, bool urgent);
  void piece_done();
  void rebuilt();
  void conclude();
  void end_segment();

  scrub_host& host_;
  runtime::lane& lane_;
  runtime::metric_set& metrics_;
  storage::scrub_pace pace_;
  std::unique_ptr<job> job_;
  std::vector<place> urgent_;
  std::vector<place> looked_; // urgent ones of the last minute
  log_id at_log_;             // the pass: the segment looked at last
  batch_number at_first_;
  std::uint64_t pass_bytes_ = 0;
  std::uint64_t pass_segments_ = 0;
  std::uint64_t pass_errors_ = 0;
  bool passed_by_ = false; // a log came that the pass had its turn before
  bool stopped_ = false;
};

} // namespace lance::actors
