// Owns the open logs of its shard: takes sealed batches to disk in commit groups, answers who waits
// for them, serves reads. One per shard, on the I/O lane; the lane's ring carries its files.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <caf/actor.hpp>

#include "actors/acks.hpp"
#include "actors/event_limit.hpp"
#include "actors/fetcher.hpp"
#include "actors/messages.hpp"
#include "actors/scrubber.hpp"
#include "runtime/lane.hpp"
#include "runtime/metrics.hpp"
#include "storage/data_dir.hpp"
#include "storage/log.hpp"
#include "storage/posix_disk.hpp"
#include "storage/read_budget.hpp"
#include "storage/reader.hpp"
#include "storage/tail_cache.hpp"

namespace lance::actors {

struct poller_options {
  std::uint16_t shard = 0;
  storage::options storage;
  storage::recycle_budget* recycled = nullptr; ///< outlives the actor
  storage::reread_budget* reread = nullptr;    ///< outlives the actor
  std::uint64_t linger_ns = 0;
  bool direct = true;
};

/// Memory of one shard's poller; made before the actor system and destroyed after it.
struct poller_memory {
  /// `connections` of the whole broker: each may have one reply under way.
  explicit poller_memory(std::uint32_t connections) : reply_messages(connections) {}
  std::unique_ptr<runtime::buffer_pool> replies; ///< what fetches return
  std::unique_ptr<runtime::buffer_pool> reads;   ///< what comes from disk on its way there
  runtime::message_pool<outcomes> outcome_messages{messages_in_flight};
  runtime::message_pool<read_reply> reply_messages;
};

class poller_actor final : public runtime::resident_actor<>,
                           private storage::log_owner,
                           private answer_sink,
                           private fetch_owner,
                           private scrub_host,
                           private runtime::lane_timer {
 public:
  /// `home` outlives the actor.
  poller_actor(caf::actor_config& config, const poller_options& options, poller_memory& memory,
               storage::data_dir& home, runtime::metric_set& metrics);
  ~poller_actor() override;

  caf::behavior make_behavior() override;
  void on_exit() override;
  bool poll() override;
  [[nodiscard]] bool ready() const override;
  const char* name() const override { return "poller"; }

 private:
  /// A log that would not open.
  struct unopened_log {
    storage::log_policy policy;
    bool for_space = false; ///< the disk was full: tried again
  };
  struct log_slot {
    std::unique_ptr<storage::log> log;
    ack_line acks;
    std::vector<runtime::message_ref<read_request>> following; ///< readers who wait for more
    std::uint32_t fetches = 0;                                 ///< under way
    bool changed = false;
    storage::log_state seen_state = storage::log_state::open;
    std::uint64_t submitted_ns = 0; ///< of the oldest run not yet durable
    bool writing = false;           ///< a commit of it is on its way, as the read budget knows
    bool dropping = false;          ///< segments are being removed
    bool ending_segment = false;    ///< retention looks again when it is closed
    std::optional<open_log> again;  ///< to be opened anew once it is closed
    /// Its tail could not be set aside on a full disk: fenced, and opened anew when there is room.
    std::optional<storage::log_policy> for_room;
    std::uint64_t opened_ns = 0;
    // deletion
    bool deleting = false;
    caf::actor requester;
    std::uint64_t cookie = 0;
  };
  struct open_job;
  struct remove_job;
  struct drop_job;

  // -- storage::log_owner, answer_sink, fetch_owner, lane_timer
  void log_changed(storage::log& which) override;
  void answer(const pending_ack& to, log_id log, bool durable, errc refusal) override;
  void fetched(fetcher& by) override;
  void expired(std::uint64_t now_ns) override;

  // -- scrub_host
  std::optional<scrub_target> closed_after(log_id log, batch_number after) override;
  std::optional<scrub_target> closed_at(log_id log, batch_number first) override;
  std::uint64_t closed_bytes() override;
  storage::log* log_of(log_id log) override;
  void damage_changed(storage::log& log) override;
  void scrub_advanced() override;

  void open(const open_log& wanted);
  void opened(open_job& job);
  open_job* opening_job(log_id log) noexcept;
  void unfence(const unfence_log& wanted);
  void open_next();
  void count_states();
  void tell_journal_state(const log_slot& slot);
  [[nodiscard]] static bool leaving(const log_slot& slot) noexcept {
    return slot.deleting || slot.again;
  }
  void submit(sealed& message);
  void settle();
  void settle(log_slot& slot);
  void allow_reads();
  void note_commits(log_slot& slot, bool ended);
  void report(log_slot& slot, const storage::log_progress& progress);
  void serve_waiting();
  bool serve(runtime::message_ref<read_request>& request);
  [[nodiscard]] std::uint32_t buffers_for_one() const noexcept;
  /// False: no message is to be had now.
  bool refuse(runtime::message_ref<read_request>& request, errc why);
  void wake_followers(log_slot& slot, bool all);
  void send_answers();
  void send_replies();
  void describe(const describe_log& wanted);
  void remove(const delete_log& wanted);
  void advance_ends();

  // poller_upkeep.cpp
  void enforce_retention(log_slot& slot);
  void segment_left(const segment_ended& what);
  void after_segment_end(log_slot& slot, bool any_closed);
  void drop_before_batch(log_slot& slot, batch_number batch);
  void dropped(drop_job& job);
  void disk_level_changed(storage::disk_level level);
  void open_for_space(std::uint64_t now_ns);
  void report_space(const storage::log& log, storage::log_state before);
  [[nodiscard]] bool held(log_id log) const noexcept;

  void budget_reads(std::uint64_t now_ns);
  void show_disk_work();
  void arm_timer(std::uint64_t now_ns);
  static void feed(void* self);

  const poller_options options_;
  poller_memory& memory_;
  storage::data_dir& home_;
  runtime::metric_set& metrics_;
  shard_routes routes_;
  std::unique_ptr<storage::disk> disk_;
  storage::tail_cache cache_;
  std::unique_ptr<storage::reader> reader_;
  std::uint64_t reads_shown_ = 0; // of the reader's counts, in the metrics already
  std::uint64_t reads_done_shown_ = 0;
  storage::read_budget read_budget_;
  std::unique_ptr<scrubber> scrubber_;
  event_limit damage_events_;
  storage::log_environment environment_;
  std::unordered_map<std::uint32_t, log_slot> logs_;
  std::vector<log_slot*> changed_;
  std::deque<std::unique_ptr<open_job>> opening_; // the first is under way
  std::unordered_map<std::uint32_t, unopened_log> unopened_;
  std::uint64_t next_opening_ns_ = 0; // of those the disk had no room for
  std::vector<std::unique_ptr<remove_job>> removing_;
  std::vector<std::unique_ptr<drop_job>> dropping_;
  storage::ring<runtime::message_ref<read_request>> reads_; // wait for a fetcher, in order
  std::vector<std::unique_ptr<fetcher>> fetchers_;
  std::vector<fetcher*> idle_fetchers_;
  std::vector<runtime::message_ref<read_reply>> finished_; // wait to be sent
  std::vector<runtime::message_ref<outcomes>> answers_;    // by network actor
  storage::ring<std::pair<reply_address, outcome>> unsent_;
  caf::actor closing_for_;
  bool nobody_waits_ = false; // readers are answered at once
  bool closing_ = false;      // no log takes anything any more
  bool space_held_ = false;   // the disk is too full: no log allocates but the journal
  std::uint64_t next_tick_ns_ = 0;
  std::atomic<bool> fed_{false};
};

} // namespace lance::actors
