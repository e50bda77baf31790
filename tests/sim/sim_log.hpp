// One log in a simulated process: appender and log as ingestion and poller have them, who waits for
// acknowledgements, retention's deeds, and the checkers of the log, which outlive the process.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/blocking_thread.hpp"
#include "storage/appender.hpp"
#include "storage/log.hpp"
#include "tests/sim/checkers/log_history.hpp"
#include "tests/sim/checkers/reads.hpp"
#include "tests/sim/checkers/retention.hpp"

namespace lance::sim {

/// What stays when processes come and go.
struct log_world {
  log_world(const storage::log_policy& how, violations& broken, deliveries& sent)
      : policy(how), history(how.log.value, how.level, broken, sent),
        retention(history, how.retention), reads(history) {}

  storage::log_policy policy;
  log_history history;
  retention_checker retention;
  read_checker reads;
  bool lift_fence = false;       ///< by an operator, when it is opened next
  std::uint64_t consumed_to = 0; ///< the offset a following reader goes on with
};

class sim_log {
 public:
  sim_log(log_world& world, std::unique_ptr<storage::log> opened,
          const storage::log_environment& environment, runtime::buffer_pool& pool);

  using answer = std::function<void(bool durable)>;
  /// Errors as storage::appender::append(); with success the answer comes once.
  result<> append(const storage::append_request& request, std::size_t sent, answer done);
  /// Of a batch of an idempotent producer; a duplicate gets its answer here.
  [[nodiscard]] storage::producer_verdict judge(const storage::producer_stamp& stamp,
                                                std::uint64_t wall_ns, const answer& done);
  /// Hands over what was appended, starts what is due, tells what became durable.
  void settle(std::uint64_t now_ns);
  void tick(std::uint64_t now_ns) { log_->tick(now_ns); }
  void enforce_retention(std::uint64_t wall_ns);
  void release_idle() { (void)appender_.release_idle(); }

  [[nodiscard]] storage::log& log() noexcept { return *log_; }
  [[nodiscard]] log_world& world() noexcept { return world_; }
  [[nodiscard]] bool waits() const noexcept { return !waiting_.empty(); }

 private:
  struct removal_job final : runtime::blocking_job {
    explicit removal_job(sim_log& owner) : home(owner) {}
    void run() override { outcome = what.run(*home.environment_.door); }
    void finish() override { home.removed(); }
    sim_log& home;
    storage::segment_removal what;
    result<> outcome;
    bool busy = false;
  };
  struct waiting_answer {
    batch_number number;
    answer done;
  };

  void collect();
  void removed();

  log_world& world_;
  const storage::log_environment& environment_;
  std::unique_ptr<storage::log> log_;
  storage::appender appender_;
  storage::sealed_run run_;
  std::deque<waiting_answer> waiting_;
  bool repeated_ = false; // somebody waits for a batch that was there before
  removal_job removal_{*this};
};

} // namespace lance::sim
