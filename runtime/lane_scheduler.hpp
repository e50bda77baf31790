// CAF's scheduler module with our lanes in it: work stealing for ordinary actors, pinned lanes for
// those of the record path.
#pragma once

#include <memory>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/policy/work_stealing.hpp>
#include <caf/scheduler/coordinator.hpp>

#include "runtime/lane.hpp"

namespace lance::runtime {

class lane_scheduler final : public caf::scheduler::coordinator<caf::policy::work_stealing> {
 public:
  using super = caf::scheduler::coordinator<caf::policy::work_stealing>;

  lane_scheduler(caf::actor_system& system, const std::vector<lane_options>& plan);

  /// Makes the actor system use this scheduler. Call before constructing it.
  static void install(caf::actor_system_config& config, std::vector<lane_options> plan);
  [[nodiscard]] static lane_scheduler& of(caf::actor_system& system);

  [[nodiscard]] lane& at(std::size_t number) { return *lanes_.at(number); }
  [[nodiscard]] std::size_t size() const noexcept { return lanes_.size(); }
  /// How the start of the lanes went: the first failure, if any. An actor system has no way to
  /// refuse construction, so its maker asks here before it spawns anything.
  [[nodiscard]] const result<>& started() const noexcept { return started_; }

  /// Spawns the lane actor class T on lane `number`.
  template <class T, class... Ts>
  caf::actor spawn_on(std::size_t number, Ts&&... arguments) {
    caf::actor_config config{&at(number)};
    return system().spawn_class<T, caf::no_spawn_options>(config, std::forward<Ts>(arguments)...);
  }

 protected:
  void start() override;
  void stop() override;

 private:
  std::vector<std::unique_ptr<lane>> lanes_;
  result<> started_;
};

} // namespace lance::runtime
