// Periodic duties of the node: watching the disk, and having retention carried out. Asks the
// pollers by message; touches no log itself. On the default workers; one per node.
//
// A further duty is one line in the list of the constructor and one member that runs it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <caf/event_based_actor.hpp>

#include "actors/disk_watch.hpp"
#include "actors/messages.hpp"
#include "runtime/clock.hpp"
#include "storage/spare_shelf.hpp"

namespace lance::actors {

struct upkeep_options {
  std::uint64_t retention_interval_ns = 60 * s_in_ns;
  /// What dropped segments may keep of the disk; held while it is fuller than it should be.
  storage::recycle_budget* recycled = nullptr;
  /// Called once, with a sentence, when the node cannot write what it must: it has to end.
  std::function<void(std::string)> give_up;
};

class upkeep_actor final : public caf::event_based_actor {
 public:
  /// The watch has looked once.
  upkeep_actor(caf::actor_config& config, upkeep_options options,
               std::unique_ptr<disk_watch> watch);

  caf::behavior make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "upkeep"; }

 private:
  struct duty {
    std::string_view name;
    std::uint64_t period_ns; ///< between the end of one run and the next
    std::uint64_t due_ns;
    void (upkeep_actor::*run)();
  };

  void run_due();
  void watch_disk();
  void retain();
  void space_changed(const log_space& what);
  void judge_journal();
  void tell_level(storage::disk_level level);
  void make_due(void (upkeep_actor::*run)());
  [[nodiscard]] bool pressed() const noexcept { return watch_->level() != storage::disk_level::ok; }

  const upkeep_options options_;
  std::unique_ptr<disk_watch> watch_;
  runtime::real_clock clock_;
  upkeep_routes routes_;
  std::vector<duty> duties_;
  std::uint64_t looked_ns_ = 0;
  storage::log_state journal_state_ = storage::log_state::open;
  bool journal_refused_ = false; // since it is short of space
  bool gave_up_ = false;
};

} // namespace lance::actors
