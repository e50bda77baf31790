// One member of a replicated log: the product's raft core, and a log and votes as simple as can be,
// with a durable and an undurable end. It does what an output asks for, in its order, and may die
// between any two deeds. Used by the simulated cluster and by the stories of tests/cluster.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "cluster/raft.hpp"

namespace lance::sim {

struct model_batch {
  term in_term;
  std::uint64_t id = 0; ///< of what a client sent; 0 for control batches
  std::optional<cluster::membership> members;
  std::uint64_t bytes = 0;

  friend bool operator==(const model_batch&, const model_batch&) = default;
};

/// A message and the batches that travel beside it.
struct letter {
  cluster::message what;
  std::vector<model_batch> batches;
};

/// What outlives the process.
struct model_disk {
  term current;
  std::optional<node_id> vote;
  batch_number start{1};
  term base_term;
  cluster::membership_at first_members;
  std::vector<model_batch> batches; ///< from `start` on
  batch_number durable_end{1};

  [[nodiscard]] batch_number end() const noexcept {
    return batch_number{start.value + batches.size()};
  }
  [[nodiscard]] const model_batch& at(batch_number number) const {
    return batches.at(number.value - start.value);
  }
  void truncate(batch_number to);
};

/// The deeds of one output, for those who want to die between them.
enum class deed : std::uint8_t { begin, persisted, begun_at, truncated, written, told, sent };

class model_member {
 public:
  struct hooks {
    std::function<void(letter)> send;
    /// False: the process dies here.
    std::function<bool(deed)> survives = [](deed) { return true; };
    std::function<void(const cluster::raft_output&)> saw = [](const auto&) {};
  };

  model_member(node_id self, log_id log, const cluster::raft_options& chosen,
               cluster::membership members, hooks how);

  // -- the process -----------------------------------------------------------------------------
  void start(cluster::moment at);
  /// Of the batches that were not durable, the first `kept` are there all the same.
  void crash(std::uint64_t kept);
  [[nodiscard]] bool alive() const noexcept { return core_ != nullptr; }
  /// A deed of the last output was the last one.
  [[nodiscard]] bool dying() const noexcept { return dying_; }

  // -- inputs ----------------------------------------------------------------------------------
  void tick(cluster::moment at);
  void receive(cluster::moment at, const letter& what);
  /// Appends one batch of a client; nothing when the core does not accept.
  std::optional<batch_number> propose(cluster::moment at, std::uint64_t id, std::uint64_t bytes);
  result<> change(cluster::moment at, cluster::membership_step step, node_id node);
  result<> transfer(cluster::moment at, node_id to);
  result<> read(cluster::moment at, std::uint64_t token);
  void set_fit(cluster::moment at, bool fit);
  /// Batches below are gone; returns whether they may be.
  bool trim(batch_number start);

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

  [[nodiscard]] const cluster::raft& core() const { return *core_; }
  [[nodiscard]] node_id self() const noexcept { return self_; }
  [[nodiscard]] log_id log() const noexcept { return log_; }

  model_disk disk;

 private:
  void perform(cluster::moment at, const letter* incoming);
  void append_control(cluster::moment at, const cluster::control_batch& what);
  bool pass(deed done);

  node_id self_;
  log_id log_;
  cluster::raft_options chosen_;
  hooks how_;
  std::unique_ptr<cluster::raft> core_;
  cluster::raft_output out_;
  std::vector<cluster::fetch_request> fetches_;
  bool dying_ = false;
};

/// The name of what a message carries, e.g. "vote_request".
[[nodiscard]] std::string_view name_of(const cluster::message& what);

} // namespace lance::sim
