// One member of one log's group, on its disk: the raft core, the log it speaks of, and the deeds
// between the two in the order the core wants them (raft_output.hpp). What the core takes for done
// is done here before the core hears anything else; meanwhile messages wait, and beyond a bound are
// lost, as any message may be.
//
// While it follows, batches come from the leader and are appended here, byte for byte. While it
// leads, whoever gives batches their place (ingestion, on another thread perhaps) has the appender:
// lead() hands over what it begins with, follow() ends it, and the runs come back by submit(). When
// leadership is lost the log is opened anew, without what was appended and never submitted: nobody
// was told of that, here or elsewhere.
//
// What cannot be carried out (a disk that fails under a cut, a batch that does not fit) ends the
// core, not the process: a new one begins with what is on the disk, as after a crash.
//
// Owned by the shard's poller, on its thread; the log's completions come on that thread, too. Time
// and chance are arguments. Destroy it only when idle(), or together with the disk's memory of it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cluster/batch_copies.hpp"
#include "cluster/open_replica.hpp"
#include "cluster/replica_feed.hpp"
#include "storage/appender.hpp"

namespace lance::cluster {

class replica;

/// Whoever carries a replica. Called from within the replica's calls and the log's completions;
/// must not call the replica back, but for persisted(). Where nothing is said about it the owner
/// looks at the replica after each of its calls: committed_end, acks.
class replica_owner {
 public:
  /// Sync the row in votes.log, then persisted(), at once or later.
  virtual void persist(replica& who, const vote_record& row) = 0;
  /// May be lost. `beside`: valid during the call.
  virtual void send(replica& who, const message& what, std::span<const byte_view> beside) = 0;
  /// Append from here on, stamping the term; grants come by granted().
  virtual void lead(replica& who, const storage::append_start& start, term in_term) = 0;
  /// Append one control batch with this payload, between two others.
  virtual void append_control(replica& who, byte_view payload) = 0;
  virtual void granted(replica& who, const storage::append_grant& grant) = 0;
  /// No more appends; what comes after, of that leadership, is dropped.
  virtual void follow(replica& who) = 0;
  /// An output was carried out up to where it is told: roles, reads, events, ends. `out` is the
  /// core's.
  virtual void told(replica& who, const raft_output& out) = 0;
  /// The log is going to be closed and opened again: end what reads it. True once nothing does.
  virtual bool let_go(replica& who, storage::log& log) = 0;
  /// The log is another object now, or none.
  virtual void opened(replica& who) = 0;
  /// Call settle() soon.
  virtual void wake(replica& who) = 0;

 protected:
  ~replica_owner() = default;
};

/// What the replicas of a shard share; outlives them.
struct replica_places {
  const storage::log_environment* environment = nullptr;
  runtime::buffer_pool* copies = nullptr; ///< of followers' appends; taken from on this thread
  storage::reader* reader = nullptr;
  raft_options chosen;
  node_id self;
  std::uint8_t actor = 0; ///< in sort keys
};

/// What was not done, for the metrics; since the beginning.
struct replica_counts {
  std::uint64_t messages_dropped = 0; ///< while the replica was busy
  std::uint64_t messages_refused = 0; ///< batches that do not verify or do not fit
  std::uint64_t messages_starved = 0; ///< batches for which there is no room on the disk
  std::uint64_t started_over = 0;     ///< with a new core
};

class replica final : private runtime::blocking_job {
 public:
  /// Messages that wait while a deed is under way: what a leader has in its window.
  static constexpr std::size_t waiting_max = 64;
  static constexpr std::uint64_t waiting_bytes_max = 16 * MiB;
  /// Between two tries to open a log that does not.
  static constexpr std::uint64_t retry_ns = 1 * s_in_ns;

  replica(const replica_places& shared, const storage::log_policy& policy, replica_identity who,
          opened_replica found, replica_owner& owner, moment at);
  ~replica();
  replica(const replica&) = delete;
  replica& operator=(const replica&) = delete;

  // -- what comes in ---------------------------------------------------------------------------
  void tick(moment at);
  /// Of the log's group, for this node; `beside`: the batches of an append, what a rebase brings.
  void receive(moment at, message what, std::vector<std::byte> beside);
  /// What ingestion appended since lead() for that term.
  void submit(moment at, term in_term, storage::sealed_run& run);
  /// The row of the last persist() is synced, or never will be.
  void persisted(result<> outcome);
  /// Goes on with whatever completed. Call after wake(), and when log().due_ns() comes.
  void settle(moment at);
  /// Whole segments of committed batches below `end` go, beside the thread. One at a time.
  void trim(moment at, batch_number end);

  // -- what is asked for; errors as of raft, and throttled while busy ----------------------------
  result<> change_members(moment at, membership_step step, node_id node);
  result<> transfer(moment at, node_id to);
  result<> read(moment at, std::uint64_t token);

  // -- what is known ---------------------------------------------------------------------------
  [[nodiscard]] const raft& core() const noexcept { return *core_; }
  /// Null while it is opened anew.
  [[nodiscard]] storage::log* log() noexcept { return log_.get(); }
  /// No deed of an output is open: core and log agree.
  [[nodiscard]] bool settled() const noexcept { return at_step_ == step::none && !broken_; }
  /// Nothing is under way: it may be destroyed.
  [[nodiscard]] bool idle() const noexcept;
  [[nodiscard]] const replica_counts& counts() const noexcept { return counts_; }

 private:
  // In the order of raft_output.
  enum class step : std::uint8_t { none, persist, reopen, write, tell, send, append, lead };
  struct waiting_message {
    message what;
    std::vector<std::byte> beside;
  };
  enum class deed : std::uint8_t { none, reopen, start_over, trim };

  void go_on();
  [[nodiscard]] bool next_input();
  void begin_output() noexcept;
  [[nodiscard]] bool perform();
  [[nodiscard]] bool do_persist();
  [[nodiscard]] bool do_reopen();
  [[nodiscard]] bool do_write();
  void do_send();
  [[nodiscard]] bool do_append();
  void do_lead();
  void send_append(const message& what);
  void send_rebase(const message& what);
  [[nodiscard]] bool take_progress();
  [[nodiscard]] bool take_read();
  [[nodiscard]] bool take_message();
  [[nodiscard]] bool usable();
  [[nodiscard]] bool usable_rebase(const rebase& body);
  [[nodiscard]] bool append_here(const control_batch& what);
  void submit_copies();
  void make_way();
  void tell_appended(const storage::sealed_run& run);
  template <class Ask>
  result<> ask(moment at, Ask what);
  [[nodiscard]] bool let_log_go();
  void use_log(std::unique_ptr<storage::log> opened);
  void start_over(std::string_view why);
  void stop_leading();
  void submit_job(deed what);
  void finish_job();
  // blocking_job
  void run() override;
  void finish() override;
  result<> run_reopen();

  replica_places shared_;
  storage::log_policy policy_;
  replica_identity who_;
  replica_owner& owner_;
  std::unique_ptr<raft> core_;
  std::unique_ptr<storage::log> log_;
  std::unique_ptr<storage::appender> copies_; ///< null while somebody else appends
  replica_feed feed_;
  storage::sealed_run run_;
  moment at_;
  std::uint64_t ticked_ns_ = 0;
  batch_number told_durable_;
  batch_number told_committed_; ///< nothing below is ever cut off
  bool may_be_fit_;             ///< what recovery said
  bool told_fit_;
  std::uint64_t flush_ns_ = 0;

  // the output under way
  raft_output out_;
  step at_step_ = step::none;
  bool was_leading_ = false; ///< somebody else has the appender
  std::vector<batch_copy> batches_;
  waiting_message incoming_;
  std::size_t written_ = 0;
  bool asked_ = false;
  std::optional<result<>> answer_; ///< of persist
  storage::log_start new_start_;   ///< that a rebase brought
  std::vector<std::byte> new_producers_;
  std::vector<byte_view> pieces_;

  std::deque<waiting_message> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  std::deque<appended_run> appended_; ///< submitted, and not told to the core yet

  // the deed beside the thread
  deed job_ = deed::none;
  bool job_done_ = false;
  result<> job_result_;
  std::unique_ptr<storage::log> job_log_;
  std::optional<opened_replica> job_opened_;
  storage::segment_removal removal_;
  std::optional<replica_state> job_state_;
  batch_number job_end_; ///< where the log is to end then
  batch_number ended_;   ///< where it ended when it was closed
  bool broken_ = false;  ///< there is no core that may go on
  std::uint64_t retry_at_ns_ = 0;
  replica_counts counts_;
};

} // namespace lance::cluster
