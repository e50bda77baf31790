// One member of a replicated log in a simulated cluster, as the world and the checkers see it: what
// its process does when it is given something, and what its disk holds. Two forms: model_member,
// whose log is as simple as can be, and real_member, whose log is storage's, carried by the
// product's own cluster/replica.
#pragma once

#include <functional>
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
  std::vector<std::byte> beside; ///< the same as bytes, of real logs
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

class sim_member {
 public:
  struct hooks {
    std::function<void(letter)> send;
    /// False: the process dies here.
    std::function<bool(deed)> survives = [](deed) { return true; };
    std::function<void(const cluster::raft_output&)> saw = [](const auto&) {};
    /// The process goes on with a new core.
    std::function<void()> started_over = [] {};
    /// Something completed that a settle() would go on with.
    std::function<void()> wake = [] {};
  };

  sim_member(node_id self, log_id log, const cluster::raft_options& chosen, hooks how)
      : self_(self), log_(log), chosen_(chosen), how_(std::move(how)) {}
  virtual ~sim_member() = default;
  sim_member(const sim_member&) = delete;
  sim_member& operator=(const sim_member&) = delete;

  // -- the process -----------------------------------------------------------------------------
  /// False: the disk does not let it.
  virtual bool start(cluster::moment at) = 0;
  /// Of the batches that were not durable, the first `kept` are there all the same.
  virtual void crash(std::uint64_t kept) = 0;
  [[nodiscard]] virtual bool alive() const noexcept = 0;
  /// A deed of the last output was the last one.
  [[nodiscard]] bool dying() const noexcept { return dying_; }
  /// No deed of an output is open.
  [[nodiscard]] virtual bool settled() const noexcept = 0;
  [[nodiscard]] virtual const cluster::raft& core() const = 0;

  // -- inputs ----------------------------------------------------------------------------------
  virtual void tick(cluster::moment at) = 0;
  virtual void settle(cluster::moment at) = 0;
  virtual void receive(cluster::moment at, const letter& what) = 0;
  /// May propose() take one now?
  [[nodiscard]] virtual bool accepting() const = 0;
  /// Appends one batch of a client; nothing when it cannot.
  virtual std::optional<batch_number> propose(cluster::moment at, std::uint64_t id,
                                              std::uint64_t bytes) = 0;
  virtual result<> change(cluster::moment at, cluster::membership_step step, node_id node) = 0;
  virtual result<> transfer(cluster::moment at, node_id to) = 0;
  virtual result<> read(cluster::moment at, std::uint64_t token) = 0;
  virtual void set_fit(cluster::moment at, bool fit) = 0;
  /// Batches below may go; whether some do.
  virtual bool trim(cluster::moment at, batch_number start) = 0;

  [[nodiscard]] node_id self() const noexcept { return self_; }
  [[nodiscard]] log_id log() const noexcept { return log_; }

  model_disk disk;

 protected:
  bool pass(deed done) {
    dying_ = dying_ || !how_.survives(done);
    return !dying_;
  }

  const node_id self_;
  const log_id log_;
  const cluster::raft_options chosen_;
  const hooks how_;
  bool dying_ = false;
};

/// The name of what a message carries, e.g. "vote_request".
[[nodiscard]] std::string_view name_of(const cluster::message& what);

} // namespace lance::sim
