// The part of poller_actor that keeps logs within their bounds: retention, and what a full disk
// asks for. Decisions are storage/retention's; upkeep_actor says when.
#include <algorithm>
#include <cerrno>

#include "actors/journal.hpp"
#include "actors/poller_actor.hpp"
#include "actors/poller_jobs.hpp"
#include "runtime/log.hpp"

namespace lance::actors {

using runtime::counter;
using runtime::log_level;
using storage::log_state;

/// Between two tries to open logs for which there was no room: each may read a whole segment.
constexpr std::uint64_t openings_apart_ns = 500 * ms_in_ns;
/// The same for a log that is open for reading meanwhile, which each try interrupts.
constexpr std::uint64_t reopenings_apart_ns = 5 * s_in_ns;

// -- retention -------------------------------------------------------------------------------

void poller_actor::enforce_retention(log_slot& slot) {
  if (leaving(slot) || slot.dropping || closing_)
    return;
  const auto plan = slot.log->plan_retention(home_lane().time().wall_ns());
  if (plan.drop > 0)
    drop_before_batch(slot, slot.log->segment_at(plan.drop - 1).end_number());
  if (plan.end_active)
    send(routes_.ingestion, end_segment{slot.log->id()});
}

void poller_actor::segment_left(const segment_ended& what) {
  auto found = logs_.find(what.log.value);
  if (found == logs_.end())
    return;
  auto& slot = found->second;
  slot.log->end_segment(what.segment);
  slot.ending_segment = true;
  log_changed(*slot.log);
}

// Called when the log has changed. An ended segment that is closed by now may go. And where
// segments come they go, one for one and not by the interval: so the files that are dropped are
// enough to be the next ones, and a fast log needs no disk for what it would write within an
// interval.
void poller_actor::after_segment_end(log_slot& slot, bool any_closed) {
  const bool ended = slot.ending_segment && !slot.log->ending();
  if (ended)
    slot.ending_segment = false;
  if (ended || any_closed)
    enforce_retention(slot);
}

void poller_actor::drop_before_batch(log_slot& slot, batch_number batch) {
  if (slot.dropping || slot.again)
    return;
  auto removal = slot.log->take_before(batch);
  if (removal.empty())
    return;
  slot.dropping = true;
  auto& job = *dropping_.emplace_back(
      std::make_unique<drop_job>(*this, slot.log->id(), std::move(removal)));
  home_lane().helper().submit(job);
}

void poller_actor::drop_job::run() {
  outcome = removal.run(*home.disk_);
}

void poller_actor::drop_job::finish() {
  home.dropped(*this);
}

void poller_actor::dropped(drop_job& job) {
  auto& slot = logs_.at(job.log.value); // a log that is deleted waits for this
  slot.dropping = false;
  slot.log->put_back(job.removal);
  metrics_.add(counter::retention_segments, job.removal.removed);
  metrics_.add(counter::retention_bytes, job.removal.removed_bytes);
  if (!job.outcome)
    runtime::log(log_level::error, "segments_not_dropped",
                 {{"log", job.log.value},
                  {"directory", job.removal.directory},
                  {"error", describe_error(job.outcome.error())}});
  else
    runtime::log(log_level::info, "segments_dropped",
                 {{"log", job.log.value},
                  {"directory", job.removal.directory},
                  {"segments", job.removal.removed},
                  {"bytes", job.removal.removed_bytes},
                  {"start", slot.log->start_offset().value}});
  if (leaving(slot))
    log_changed(*slot.log);
  std::erase_if(dropping_, [&](const auto& each) { return each.get() == &job; });
}

// -- a full disk -----------------------------------------------------------------------------

// The journal is never held: what it wants is little, and deletions need it.
bool poller_actor::held(log_id log) const noexcept {
  return space_held_ && log != meta_log;
}

void poller_actor::disk_level_changed(storage::disk_level level) {
  space_held_ = level == storage::disk_level::stop_writes;
  for (auto& [id, slot] : logs_)
    slot.log->hold_space(held(slot.log->id()));
}

// Logs that found no room to be opened, of topics made while the disk filled up or of a start on a
// full one, are opened when there may be room again: nobody else asks for them.
void poller_actor::open_for_space(std::uint64_t now_ns) {
  if (space_held_ || closing_ || now_ns < next_opening_ns_)
    return;
  next_opening_ns_ = now_ns + openings_apart_ns;
  for (const auto& [id, each] : unopened_)
    if (each.for_space && opening_job(each.policy.log) == nullptr)
      open({each.policy, {}, 0});
  for (auto& [id, slot] : logs_)
    if (slot.for_room && !leaving(slot) && slot.opened_ns + reopenings_apart_ns <= now_ns) {
      slot.opened_ns = now_ns; // once, however long ingestion takes to let go of it
      send(routes_.ingestion, unfence_log{{*slot.for_room, {}, 0}});
    }
}

// A log that is held has not met a full disk: it was kept from it.
void poller_actor::report_space(const storage::log& log, log_state before) {
  const auto now = log.state();
  const auto short_of_space = [](log_state state) {
    return state == log_state::no_space || state == log_state::stalled;
  };
  if (now != before && (short_of_space(now) || short_of_space(before)) &&
      !(held(log.id()) && now == log_state::no_space))
    send(routes_.upkeep, log_space{log.id(), now});
}

} // namespace lance::actors
