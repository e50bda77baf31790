// One pinned thread that runs the actors bound to it: an execution unit of CAF with its own ready
// list, its own reactor (one io_uring for sockets and files where there is one), timers and an idle
// policy. The pattern and what it costs: runtime/README.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <caf/actor_config.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include "runtime/blocking_thread.hpp"
#include "runtime/buffer_pool.hpp"
#include "runtime/clock.hpp"
#include "runtime/placement.hpp"
#include "runtime/reactor.hpp"
#include "runtime/result.hpp"
#include "runtime/uring.hpp"

namespace lance::runtime {

struct lane_options {
  std::size_t number = 0;
  int cpu = -1;       ///< pinned here; -1 leaves it to the kernel
  int numa_node = -1; ///< its buffers lie here; -1 when there is one node
  idle_policy idle = idle_policy::park;
  bool use_uring = true; ///< false: the fallback reactor
  uring_capabilities capabilities;
  unsigned submission_depth = 4096;
  std::uint32_t receive_buffers = 256;
  std::size_t receive_buffer_bytes = 65536;
  /// What the ring's files are written from and read into: registered with it where that is
  /// permitted. They outlive the lane.
  std::vector<buffer_pool*> file_pools;
};

/// Ready-list node, one per lane actor. CAF has an actor scheduled at most once at a time, so one
/// embedded node suffices and scheduling never allocates.
struct lane_node {
  caf::resumable* job = nullptr;
  lane_node* next = nullptr;
};

/// Something the lane looks at on every turn. Lane thread.
class pollable {
 public:
  virtual bool poll() = 0;                      ///< does what is due; true if anything was
  [[nodiscard]] virtual bool ready() const = 0; ///< cheap; asked before parking
  virtual void lane_ended() {}                  ///< the lane's thread is gone: release everything

 protected:
  ~pollable() = default;
};

/// A deadline on a lane. Owned by whoever waits for it, who calls lane::forget() before it dies.
class lane_timer {
 public:
  virtual void expired(std::uint64_t now_ns) = 0;
  std::uint64_t deadline_ns = 0; ///< the lane's; 0: not armed

 protected:
  ~lane_timer() = default;
};

class lane final : public caf::execution_unit {
 public:
  lane(caf::actor_system& system, const lane_options& options);
  ~lane() override;

  /// Makes the thread, its receive pool and its reactor; returns when they stand or failed.
  result<> start();
  /// Ends the thread. Actors still bound to the lane are released by drain().
  void stop();
  void drain();

  // -- any thread ------------------------------------------------------------------------------
  /// An actor of THIS lane has become ready.
  void schedule(lane_node& node) noexcept;
  /// Ends parking; called after work was published.
  void notify() noexcept;
  [[nodiscard]] const lane_options& options() const noexcept { return options_; }
  /// After start(): false where the fallback serves, asked for or not.
  [[nodiscard]] bool has_ring() const noexcept { return reactor_->ring() != nullptr; }
  /// After start(): the errno for which the kernel would not register one of the file pools (the
  /// limit of locked memory, as a rule); 0 where all are, or no ring serves.
  [[nodiscard]] int registration_refusal() const noexcept { return registration_refusal_; }
  /// Longest single turn since the last call, in nanoseconds: how long others had to wait.
  [[nodiscard]] std::uint64_t take_longest_turn_ns() noexcept {
    return longest_turn_ns_.exchange(0, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t parks() const noexcept {
    return parks_.load(std::memory_order_relaxed);
  }

  // -- lane thread -----------------------------------------------------------------------------
  /// The lane whose thread this is, or null.
  [[nodiscard]] static lane* current() noexcept;
  [[nodiscard]] reactor& io() noexcept { return *reactor_; }
  [[nodiscard]] uring* ring() noexcept { return reactor_->ring(); }
  /// For cold deeds that block: preparing and closing files; all file work in the fallback.
  [[nodiscard]] blocking_thread& helper() noexcept { return *helper_; }
  [[nodiscard]] buffer_pool& receive_pool() noexcept { return *receive_pool_; }
  [[nodiscard]] const class clock& time() const noexcept { return clock_; }
  void add(pollable& target);
  void remove(pollable& target);
  /// Calls timer.expired() once `deadline_ns` (steady) has come. Arming again replaces.
  void arm(lane_timer& timer, std::uint64_t deadline_ns);
  void disarm(lane_timer& timer) noexcept { timer.deadline_ns = 0; }
  void forget(lane_timer& timer);

  // -- CAF -------------------------------------------------------------------------------------
  /// An actor running here woke an actor that is NOT bound to a lane: the default workers run it.
  void exec_later(caf::resumable* job) override;

 private:
  struct due {
    std::uint64_t deadline_ns;
    lane_timer* timer;
  };

  result<> prepare();
  result<> prepare_ring();
  void register_pools();
  void run();
  bool work_once();
  bool run_jobs();
  bool expire_timers();
  void park();
  void pin();
  lane_node* next_job() noexcept;
  void take_inbox() noexcept;
  void push_local(lane_node& node) noexcept;

  // written by others
  alignas(64) std::atomic<lane_node*> inbox_{nullptr};
  alignas(64) std::atomic<bool> parked_{false};
  std::atomic<bool> stop_{false};
  // the lane thread's
  alignas(64) lane_node* head_ = nullptr;
  lane_node* tail_ = nullptr;
  std::vector<pollable*> pollables_;
  bool sweep_ = false;
  std::vector<due> timers_; // a heap, soonest first; entries whose timer was re-armed are stale
  real_clock clock_;
  std::unique_ptr<buffer_pool> receive_pool_;
  std::unique_ptr<reactor> reactor_;
  std::unique_ptr<blocking_thread> helper_;
  std::atomic<std::uint64_t> longest_turn_ns_{0};
  std::atomic<std::uint64_t> parks_{0};
  int registration_refusal_ = 0;
  const lane_options options_;
  std::thread thread_;
};

/// Binds an actor to the lane that its actor_config names as host, whoever sends to it: the
/// sender's execution unit is ignored, the way CAF's own I/O brokers ignore it. (Passing a lane as
/// host to a stock actor does not pin it.)
template <class Base = caf::event_based_actor>
class lane_actor : public Base {
 public:
  explicit lane_actor(caf::actor_config& config)
      : Base(config), gate_(*dynamic_cast<lane*>(config.host), this) {}

  using Base::enqueue;
  void enqueue(caf::mailbox_element_ptr message, caf::execution_unit*) override {
    Base::enqueue(std::move(message), &gate_);
  }
  void launch(caf::execution_unit*, bool lazy, bool hide) override {
    Base::launch(&gate_, lazy, hide);
  }
  [[nodiscard]] lane& home_lane() noexcept { return gate_.home; }

 protected:
  struct gate final : caf::execution_unit {
    gate(lane& where, caf::resumable* self) : caf::execution_unit(&where.system()), home(where) {
      node.job = self;
    }
    void exec_later(caf::resumable* job) override {
      if (resident.load(std::memory_order_relaxed)) {
        intrusive_ptr_release(job); // the lane holds its own reference and looks every turn
        home.notify();
      } else {
        home.schedule(node);
      }
    }
    lane& home;
    lane_node node;
    std::atomic<bool> resident{false};
  };
  gate gate_;
};

/// A lane actor whose mailbox the lane looks into on every turn: a send costs the mailbox's
/// compare-and-swap and nothing else.
template <class Base = caf::event_based_actor>
class resident_actor : public lane_actor<Base>, public pollable {
 public:
  using lane_actor<Base>::lane_actor;

  void initialize() override {
    self_ = caf::strong_actor_ptr{this->ctrl()};
    this->home_lane().add(*this);
    this->gate_.resident.store(true, std::memory_order_relaxed);
    lane_actor<Base>::initialize();
  }

  bool poll() override { return take_messages() != mail::none; }

  [[nodiscard]] bool ready() const override {
    auto& box = const_cast<resident_actor*>(this)->mailbox();
    return !box.blocked() && !box.closed();
  }

  void lane_ended() override {
    if (!self_)
      return;
    const auto last = std::move(self_);
    this->on_exit(); // CAF calls it for actors that quit only; neighbours that hold each other stay
    intrusive_ptr_add_ref(this->ctrl());
    caf::scheduler::abstract_coordinator::cleanup_and_release(this);
  }

 protected:
  enum class mail : std::uint8_t {
    none,
    some,
    ended, ///< the actor has quit and may be destroyed: touch nothing of it
  };
  /// Handles what is in the mailbox.
  mail take_messages() {
    auto& box = this->mailbox();
    if (box.blocked() || box.closed())
      return mail::none;
    if (this->resume(&this->home_lane(), 64) != caf::resumable::done)
      return mail::some;
    this->home_lane().remove(*this);
    const auto last = std::move(self_); // may destroy this actor
    return mail::ended;
  }

 private:
  caf::strong_actor_ptr self_;
};

} // namespace lance::runtime
