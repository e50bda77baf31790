#include "runtime/lane_scheduler.hpp"

namespace lance::runtime {

lane_scheduler::lane_scheduler(caf::actor_system& owner, const std::vector<lane_options>& plan)
    : super(owner) {
  for (const auto& options : plan)
    lanes_.push_back(std::make_unique<lane>(owner, options));
}

void lane_scheduler::install(caf::actor_system_config& config, std::vector<lane_options> plan) {
  config.module_factories.emplace_back(
      [plan = std::move(plan)](caf::actor_system& system) -> caf::actor_system::module* {
        return new lane_scheduler(system, plan);
      });
}

lane_scheduler& lane_scheduler::of(caf::actor_system& system) {
  return dynamic_cast<lane_scheduler&>(system.scheduler());
}

void lane_scheduler::start() {
  for (auto& each : lanes_) {
    auto outcome = each->start();
    if (!outcome && started_)
      started_ = outcome;
  }
  super::start();
}

void lane_scheduler::stop() {
  for (auto& each : lanes_)
    each->stop();
  super::stop();
  for (auto& each : lanes_)
    each->drain();
}

} // namespace lance::runtime
