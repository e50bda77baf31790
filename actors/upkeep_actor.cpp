#include "actors/upkeep_actor.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "actors/journal.hpp"
#include "runtime/log.hpp"

namespace lance::actors {

using storage::disk_level;
using storage::log_state;

namespace {

/// How often the disk is looked at: a second at full speed is a few hundred MB, less than lies
/// between the marks of any disk worth filling.
constexpr std::uint64_t watch_period_ns = 1 * s_in_ns;
/// Looks that somebody asks for come no closer than this.
constexpr std::uint64_t looks_apart_ns = 100 * ms_in_ns;
/// Retention while the disk is fuller than it should be: space is wanted soon, and what is ended in
/// one run goes in the next.
constexpr std::uint64_t pressed_period_ns = 5 * s_in_ns;

} // namespace

upkeep_actor::upkeep_actor(caf::actor_config& config, upkeep_options options,
                           std::unique_ptr<disk_watch> watch)
    : caf::event_based_actor(config), options_(std::move(options)), watch_(std::move(watch)) {
  const auto now = clock_.steady_ns();
  duties_ = {
      {"disk", watch_period_ns, now + watch_period_ns, &upkeep_actor::watch_disk},
      {"retention", options_.retention_interval_ns, now + options_.retention_interval_ns,
       &upkeep_actor::retain},
  };
}

caf::behavior upkeep_actor::make_behavior() {
  set_default_handler(caf::drop);
  return {
      [this](upkeep_routes& routes) {
        routes_ = std::move(routes);
        if (pressed())
          make_due(&upkeep_actor::retain);
        run_due();
      },
      [this](const upkeep_tick&) { run_due(); },
      [this](const log_space& what) { space_changed(what); },
      [this](const journal_refused&) {
        journal_refused_ = true;
        judge_journal();
      },
  };
}

void upkeep_actor::on_exit() {
  routes_ = {};
}

// -- duties ----------------------------------------------------------------------------------

void upkeep_actor::run_due() {
  for (auto& each : duties_)
    if (each.due_ns <= clock_.steady_ns()) {
      each.due_ns = ~std::uint64_t{0}; // a run may ask for another one
      (this->*each.run)();
      each.due_ns = std::min(each.due_ns, clock_.steady_ns() + each.period_ns);
    }
  const auto next = std::min_element(duties_.begin(), duties_.end(), [](auto& a, auto& b) {
                      return a.due_ns < b.due_ns;
                    })->due_ns;
  const auto now = clock_.steady_ns();
  delayed_send(this, std::chrono::nanoseconds{next > now ? next - now : 0}, upkeep_tick{});
}

void upkeep_actor::make_due(void (upkeep_actor::*run)()) {
  for (auto& each : duties_)
    if (each.run == run)
      each.due_ns = 0;
}

void upkeep_actor::retain() {
  for (const auto& poller : routes_.pollers)
    send(poller, enforce_retention{});
}

// -- the disk --------------------------------------------------------------------------------

void upkeep_actor::watch_disk() {
  const auto before = watch_->level();
  looked_ns_ = clock_.steady_ns();
  const auto verdict = watch_->look(looked_ns_);
  for (auto& each : duties_)
    if (each.run == &upkeep_actor::retain)
      each.period_ns = pressed() ? std::min(pressed_period_ns, options_.retention_interval_ns)
                                 : options_.retention_interval_ns;
  if (verdict.changed)
    tell_level(verdict.level);
  if (verdict.level > before)
    make_due(&upkeep_actor::retain);
  if (verdict.give_up && !std::exchange(gave_up_, true))
    options_.give_up("the disk of the data directory is full: the log of topics could not be "
                     "written for 10 s, and there is no reserve left to release");
}

// Pollers first: they stop allocating before, and allocate again before producers come back.
void upkeep_actor::tell_level(disk_level level) {
  if (options_.recycled != nullptr) // before retention runs: what it drops must make room
    options_.recycled->hold(level != disk_level::ok);
  for (const auto& each : routes_.pollers)
    send(each, disk_changed{level});
  for (const auto& each : routes_.ingestion)
    send(each, disk_changed{level});
  send(routes_.metadata, disk_changed{level});
}

void upkeep_actor::space_changed(const log_space& what) {
  const bool is_short = what.state == log_state::no_space || what.state == log_state::stalled;
  const bool journal = what.log == meta_log;
  if (journal) {
    journal_state_ = what.state;
    journal_refused_ = journal_refused_ && is_short;
    judge_journal();
  }
  if (!is_short)
    return;
  watch_->machine().disk_was_full(journal || what.state == log_state::stalled);
  if (clock_.steady_ns() - looked_ns_ >= looks_apart_ns)
    watch_disk();
}

// It is blocked when an entry could not be taken, or was and cannot be written.
void upkeep_actor::judge_journal() {
  watch_->machine().journal_blocked(journal_state_ == log_state::stalled ||
                                    (journal_state_ == log_state::no_space && journal_refused_));
}

} // namespace lance::actors
