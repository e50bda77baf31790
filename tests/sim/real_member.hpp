// A member whose log is storage's on a simulated disk, carried by cluster/replica: what poller and
// ingestion do around that, in one thread. What the checkers see of its disk is kept beside it, and
// read back from storage whenever the log is opened.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include "cluster/replica.hpp"
#include "storage/tail_cache.hpp"
#include "storage/votes.hpp"
#include "tests/sim/checkers/violations.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/sim_disk.hpp"
#include "tests/sim/sim_helper.hpp"
#include "tests/sim/sim_member.hpp"

namespace lance::sim {

/// Every batch that was ever given a place in one log, by number and term.
class batch_registry {
 public:
  batch_registry(log_id log, violations& broken) : log_(log), broken_(broken) {}

  void placed(batch_number number, const model_batch& what);
  [[nodiscard]] const model_batch* find(batch_number number, term in_term) const;
  /// What a log holds there, by its header's checksum: the same on every node, for ever.
  [[nodiscard]] const model_batch* holds(batch_number number, term in_term, std::uint32_t crc);

 private:
  struct row {
    model_batch what;
    std::uint32_t crc = 0;
  };
  log_id log_;
  violations& broken_;
  std::map<std::pair<batch_number, term>, row> rows_;
};

/// What a node has that outlives its processes.
struct real_machine {
  real_machine(std::uint64_t seed, random_stream& shape, event_loop& loop, trace& told,
               fault_counts& counted);

  sim_disk disk;
  storage::options chosen;
  std::unique_ptr<runtime::buffer_pool> append_pool;
  std::unique_ptr<runtime::buffer_pool> read_pool;
};

class real_member;

/// A process on it: what its replicas share.
class real_process final : public storage::log_owner {
 public:
  real_process(real_machine& machine, event_loop& loop, const runtime::clock& clock,
               random_stream& random, node_id self, const cluster::raft_options& chosen);
  ~real_process();

  void join(real_member& one) { members_.push_back(&one); }
  void log_changed(storage::log& which) override;

  real_machine& machine;
  mortal_timers timers;
  random_stream& random;
  storage::log_environment environment;
  cluster::replica_places places;
  std::optional<storage::vote_book> votes; ///< none: it cannot be read now

 private:
  sim_helper helper_;
  storage::tail_cache cache_;
  storage::recycle_budget recycled_;
  storage::reader reader_;
  std::vector<real_member*> members_;
};

class real_member final : public sim_member, private cluster::replica_owner {
 public:
  /// `process`: the one that runs when start() is called.
  real_member(node_id self, log_id log, const cluster::raft_options& chosen,
              cluster::membership created, hooks how, batch_registry& registry,
              std::function<real_process&()> process);

  bool start(cluster::moment at) override;
  void crash(std::uint64_t kept) override;
  [[nodiscard]] bool alive() const noexcept override { return replica_ != nullptr; }
  [[nodiscard]] bool settled() const noexcept override { return replica_->settled(); }
  [[nodiscard]] const cluster::raft& core() const override { return replica_->core(); }

  void tick(cluster::moment at) override;
  void settle(cluster::moment at) override;
  void receive(cluster::moment at, const letter& what) override;
  [[nodiscard]] bool accepting() const override {
    return appender_ && replica_->settled() && core().accepting();
  }
  std::optional<batch_number> propose(cluster::moment at, std::uint64_t id,
                                      std::uint64_t bytes) override;
  result<> change(cluster::moment at, cluster::membership_step step, node_id node) override;
  result<> transfer(cluster::moment at, node_id to) override;
  result<> read(cluster::moment at, std::uint64_t token) override;
  void set_fit(cluster::moment, bool) override {} // its own disk says
  bool trim(cluster::moment at, batch_number start) override;

  /// An operator lifts the fence at the next start.
  bool lift_fence = false;
  [[nodiscard]] const cluster::replica_counts& counts() const { return replica_->counts(); }
  [[nodiscard]] bool uses(const storage::log& which) const {
    return replica_ && replica_->log() == &which;
  }
  void woken() const { how_.wake(); }
  /// The bytes of whole batches, by the segment's first batch.
  [[nodiscard]] std::map<std::uint64_t, std::vector<std::byte>> segments();

 private:
  void persist(cluster::replica& who, const cluster::vote_record& row) override;
  void send(cluster::replica& who, const cluster::message& what,
            std::span<const byte_view> beside) override;
  void lead(cluster::replica& who, const storage::append_start& start, term in_term) override;
  void append_control(cluster::replica& who, byte_view payload) override;
  void granted(cluster::replica& who, const storage::append_grant& grant) override;
  void follow(cluster::replica& who) override;
  void told(cluster::replica& who, const cluster::raft_output& out) override;
  bool let_go(cluster::replica&, storage::log&) override { return true; }
  void opened(cluster::replica& who) override;
  void wake(cluster::replica&) override { how_.wake(); }

  void after(cluster::moment at);
  void look_at_log(cluster::replica& who);
  bool append(cluster::moment at, byte_view payload, bool control, const model_batch& what);

  const cluster::membership created_;
  batch_registry& registry_;
  std::function<real_process&()> find_process_;
  real_process* process_ = nullptr;
  storage::log_policy policy_;
  std::unique_ptr<cluster::replica> replica_;
  std::unique_ptr<storage::appender> appender_; ///< while it leads
  term leads_in_;
  const cluster::raft* known_core_ = nullptr;
  std::deque<std::vector<std::byte>> controls_; ///< to be appended
  storage::sealed_run run_;
};

} // namespace lance::sim
