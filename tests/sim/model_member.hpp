// A member whose log and votes are as simple as can be, with a durable and an undurable end. It
// does what an output asks for, in its order, and may die between any two deeds. Used by the
// simulated cluster and by the stories of tests/cluster.
#pragma once

#include <memory>

#include "tests/sim/sim_member.hpp"

namespace lance::sim {

class model_member final : public sim_member {
 public:
  model_member(node_id self, log_id log, const cluster::raft_options& chosen,
               cluster::membership members, hooks how);

  bool start(cluster::moment at) override;
  void crash(std::uint64_t kept) override;
  [[nodiscard]] bool alive() const noexcept override { return core_ != nullptr; }
  [[nodiscard]] bool settled() const noexcept override { return true; }
  [[nodiscard]] const cluster::raft& core() const override { return *core_; }

  void tick(cluster::moment at) override;
  void settle(cluster::moment) override {}
  void receive(cluster::moment at, const letter& what) override;
  [[nodiscard]] bool accepting() const override { return core_->accepting(); }
  std::optional<batch_number> propose(cluster::moment at, std::uint64_t id,
                                      std::uint64_t bytes) override;
  result<> change(cluster::moment at, cluster::membership_step step, node_id node) override;
  result<> transfer(cluster::moment at, node_id to) override;
  result<> read(cluster::moment at, std::uint64_t token) override;
  void set_fit(cluster::moment at, bool fit) override;
  bool trim(cluster::moment at, batch_number start) override;

  // -- the disk --------------------------------------------------------------------------------
  struct flush {
    batch_number end;
    std::uint64_t generation = 0;
  };
  [[nodiscard]] bool dirty() const noexcept { return disk.durable_end < disk.end(); }
  [[nodiscard]] flush begin_flush() const;
  void end_flush(cluster::moment at, const flush& what, std::uint64_t took_ns);
  /// The oldest open fetch is answered with up to `batches` batches; false when there is none.
  bool answer_fetch(cluster::moment at, std::uint64_t batches, bool whole_file);
  bool fail_fetch(cluster::moment at);
  [[nodiscard]] bool fetches() const noexcept { return !fetches_.empty(); }

 private:
  void perform(cluster::moment at, const letter* incoming);
  void append_control(cluster::moment at, const cluster::control_batch& what);

  std::unique_ptr<cluster::raft> core_;
  cluster::raft_output out_;
  std::vector<cluster::fetch_request> fetches_;
};

} // namespace lance::sim
