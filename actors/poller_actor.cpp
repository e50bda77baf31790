#include "actors/poller_actor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <variant>

#include "actors/journal.hpp"
#include "actors/poller_jobs.hpp"
#include "runtime/check.hpp"
#include "runtime/log.hpp"

namespace lance::actors {

using runtime::counter;
using runtime::gauge;
using runtime::histogram;
using runtime::log_level;
using storage::log_state;

namespace {

std::string_view name_of(log_state state) {
  switch (state) {
  case log_state::open:
    return "open";
  case log_state::no_space:
    return "no_space";
  case log_state::stalled:
    return "stalled";
  case log_state::fenced:
    return "fenced";
  case log_state::damaged:
    return "damaged";
  case log_state::closed:
    break;
  }
  return "closed";
}

// What DescribeTopic says: a log with rotten batches takes appends, and is not well.
std::string_view state_of(storage::log& log) {
  return log.state() == log_state::open && log.damage().size() > 0 ? "corrupt"
                                                                   : name_of(log.state());
}

} // namespace

/// Opening a log recovers it, which may read a whole segment: done beside the lane.
struct poller_actor::open_job final : runtime::blocking_job {
  open_job(poller_actor& actor, const open_log& what) : home(actor), wanted(what) {}
  void run() override { outcome = storage::log::open(home.environment_, wanted.policy); }
  void finish() override { home.opened(*this); }
  poller_actor& home;
  open_log wanted;
  std::vector<std::variant<open_log, delete_log>> then; ///< what came for the log meanwhile
  result<std::unique_ptr<storage::log>> outcome = fail(errc::internal);
};

/// Takes a deleted log's files away, beside the lane.
struct poller_actor::remove_job final : runtime::blocking_job {
  remove_job(poller_actor& actor, std::string path, log_id which, caf::actor who,
             std::uint64_t number)
      : home(actor), directory(std::move(path)), log(which), requester(std::move(who)),
        cookie(number) {}
  void run() override { outcome = home.home_.remove_directory(directory); }
  void finish() override {
    if (!outcome)
      runtime::log(log_level::error, "log_removal_failed",
                   {{"directory", directory}, {"error", std::strerror(outcome.error().system)}});
    if (requester)
      home.send(requester, log_deleted{log, cookie, outcome.has_value()});
    std::erase_if(home.removing_, [this](const auto& each) { return each.get() == this; });
  }
  poller_actor& home;
  std::string directory;
  log_id log;
  caf::actor requester;
  std::uint64_t cookie;
  result<> outcome;
};

poller_actor::poller_actor(caf::actor_config& config, const poller_options& options,
                           poller_memory& memory, storage::data_dir& home,
                           runtime::metric_set& metrics)
    : resident_actor<>(config), options_(options), memory_(memory), home_(home), metrics_(metrics),
      cache_(options.storage.tail_cache_bytes),
      read_budget_({.piece_bytes = memory.reads->buffer_bytes(),
                    .most_bytes = options.storage.read_depth * memory.reads->buffer_bytes()}) {}

// Buffers and messages may come back after their user has gone.
poller_actor::~poller_actor() {
  memory_.replies->on_return(nullptr, nullptr);
  memory_.outcome_messages.on_return(nullptr, nullptr);
  memory_.reply_messages.on_return(nullptr, nullptr);
  // A read that the end of its lane has cut off never ends, and its reader insists that all do.
  if (idle_fetchers_.size() < fetchers_.size())
    (void)reader_.release();
}

caf::behavior poller_actor::make_behavior() {
  auto& lane = home_lane();
  memory_.replies->on_return(&poller_actor::feed, this);
  memory_.outcome_messages.on_return(&poller_actor::feed, this);
  memory_.reply_messages.on_return(&poller_actor::feed, this);
  disk_ = storage::make_posix_disk({.ring = lane.ring(),
                                    .helper = lane.ring() == nullptr ? &lane.helper() : nullptr,
                                    .allow_direct = options_.direct});
  reader_ = std::make_unique<storage::reader>(*memory_.reads, options_.storage);
  scrubber_ = std::make_unique<scrubber>(static_cast<scrub_host&>(*this), lane, metrics_,
                                         options_.storage, options_.direct);
  environment_ = {.door = disk_.get(),
                  .cache = &cache_,
                  .clock = &lane.time(),
                  .helper = &lane.helper(),
                  .owner = this,
                  .recycled = options_.recycled,
                  .reread = options_.reread,
                  .quarantine = home_.quarantine(),
                  .chosen = options_.storage};
  for (std::uint32_t i = 0; i < 2 * options_.storage.read_depth; ++i)
    idle_fetchers_.push_back(
        fetchers_.emplace_back(new fetcher(*this, *reader_, *memory_.replies)).get());
  set_default_handler(caf::drop);
  return {
      [this](shard_routes& routes) {
        routes_ = std::move(routes);
        answers_.resize(routes_.networks.size());
        arm_timer(home_lane().time().steady_ns());
      },
      [this](runtime::message_ref<sealed>& message) { submit(*message); },
      [this](runtime::message_ref<read_request>& request) { reads_.push(std::move(request)); },
      [this](const open_log& wanted) { open(wanted); },
      [this](const unfence_log& wanted) { unfence(wanted); },
      [this](const delete_log& wanted) { remove(wanted); },
      [this](const describe_log& wanted) { describe(wanted); },
      [this](const drop_before& wanted) {
        if (auto found = logs_.find(wanted.log.value); found != logs_.end())
          drop_before_batch(found->second, wanted.batch);
      },
      [this](const actors::enforce_retention&) {
        for (auto& [id, slot] : logs_)
          enforce_retention(slot);
      },
      [this](const segment_ended& what) { segment_left(what); },
      [this](const disk_changed& what) { disk_level_changed(what.level); },
      [this](const stop_waiting&) {
        nobody_waits_ = true;
        for (auto& [id, slot] : logs_)
          wake_followers(slot, true);
      },
      [this](const close_logs& wanted) {
        closing_for_ = wanted.requester;
        nobody_waits_ = closing_ = true;
        scrubber_->stop();
        for (auto& [id, slot] : logs_) {
          wake_followers(slot, true);
          slot.log->close();
          log_changed(*slot.log);
        }
        advance_ends();
      },
  };
}

void poller_actor::on_exit() {
  routes_ = {};
  closing_for_ = nullptr;
  home_lane().forget(*this);
}

void poller_actor::feed(void* self) {
  auto* actor = static_cast<poller_actor*>(self);
  actor->fed_.store(true, std::memory_order_release);
  actor->home_lane().notify();
}

bool poller_actor::ready() const {
  return resident_actor<>::ready() || !changed_.empty() || !finished_.empty() ||
         fed_.load(std::memory_order_acquire);
}

bool poller_actor::poll() {
  const auto got = take_messages();
  if (got == mail::ended)
    return true;
  const bool fed = fed_.load(std::memory_order_relaxed) && fed_.exchange(false);
  if (got == mail::none && !fed && changed_.empty() && finished_.empty())
    return false;
  settle();
  serve_waiting();
  send_answers();
  send_replies();
  return true;
}

// -- logs ------------------------------------------------------------------------------------

void poller_actor::open(const open_log& wanted) {
  if (auto* job = opening_job(wanted.policy.log)) {
    job->then.emplace_back(wanted);
    return;
  }
  if (auto found = logs_.find(wanted.policy.log.value); found != logs_.end()) {
    found->second.log->set_level(wanted.policy.level, wanted.policy.linger_ns);
    found->second.log->set_retention(wanted.policy.retention);
    if (wanted.requester)
      send(wanted.requester, log_opened{wanted.policy.log, wanted.cookie, true, errc{}});
    return;
  }
  opening_.push_back(std::make_unique<open_job>(*this, wanted));
  if (opening_.size() == 1)
    open_next();
}

// One at a time, so that the slow deeds of logs that are open already come in between.
void poller_actor::open_next() {
  count_states();
  if (opening_.empty())
    return;
  auto& job = *opening_.front();
  job.wanted.policy.space_held = held(job.wanted.policy.log);
  home_lane().helper().submit(job);
}

// A log that was fenced is closed, as it is, and opened anew (advance_ends()).
void poller_actor::unfence(const unfence_log& wanted) {
  const auto log = wanted.again.policy.log;
  const auto refuse_with = [&](errc why) {
    if (wanted.again.requester)
      send(wanted.again.requester, log_opened{log, wanted.again.cookie, false, why});
  };
  if (opening_job(log) != nullptr)
    return refuse_with(errc::log_opening);
  auto found = logs_.find(log.value);
  if (found == logs_.end() && unopened_.contains(log.value)) {
    send(routes_.ingestion, log_absent{log});
    return open(wanted.again);
  }
  if (found == logs_.end() || found->second.deleting || closing_)
    return refuse_with(errc::topic_not_found);
  auto& slot = found->second;
  if (slot.log->state() == log_state::damaged)
    return refuse_with(errc::corrupt);
  if (slot.log->state() != log_state::fenced && !slot.again)
    return refuse_with(errc::invalid_request);
  if (slot.again || !wanted.quiet)
    return refuse_with(errc::log_opening);
  slot.again = wanted.again;
  wake_followers(slot, true);
  slot.log->close();
  log_changed(*slot.log);
}

namespace {

// What writers of a log that would not open are told. One without room is a full disk to them, as
// an open one would be.
errc absence(bool for_space) noexcept {
  return for_space ? errc::read_only : errc::io_failed;
}

} // namespace

void poller_actor::count_states() {
  double fenced = 0;
  for (const auto& [other, each] : logs_)
    fenced += each.log->state() == log_state::fenced || each.log->state() == log_state::damaged;
  metrics_.set(gauge::fenced_logs, fenced);
  metrics_.set(gauge::recovering_logs, static_cast<double>(opening_.size()));
}

void poller_actor::opened(open_job& job) {
  const auto& wanted = job.wanted;
  const auto log = wanted.policy.log;
  if (!job.outcome) {
    const auto why = job.outcome.error();
    runtime::log(log_level::error, "log_open_failed",
                 {{"log", log.value},
                  {"directory", wanted.policy.directory},
                  {"error", describe_error(why)}});
    metrics_.add(counter::errors_io);
    const bool for_space = why.system == ENOSPC && log != meta_log;
    unopened_[log.value] = {wanted.policy, for_space};
    if (for_space)
      send(routes_.upkeep, log_space{log, log_state::no_space});
    send(routes_.ingestion, log_absent{log, absence(for_space)});
    if (wanted.requester)
      send(wanted.requester, log_opened{log, wanted.cookie, false, why.code});
  } else {
    unopened_.erase(log.value);
    auto& slot = logs_[log.value];
    slot.log = std::move(*job.outcome);
    const auto& found = slot.log->recovered();
    metrics_.add(counter::log_recoveries);
    metrics_.add(counter::quarantined_bytes, found.quarantined_bytes);
    const bool notable = found.damaged || found.quarantined_bytes > 0 || found.waits_for_room ||
                         found.indexes_rebuilt > 0;
    runtime::log(notable ? log_level::warning : log_level::debug, "log_opened",
                 {{"log", log.value},
                  {"directory", wanted.policy.directory},
                  {"end", slot.log->durable_end().value},
                  {"segments", slot.log->segment_count()},
                  {"batches_walked", found.batches_walked},
                  {"quarantined_bytes", found.quarantined_bytes},
                  {"indexes_rebuilt", found.indexes_rebuilt},
                  {"damaged", found.damaged}});
    slot.seen_state = slot.log->state();
    slot.opened_ns = home_lane().time().steady_ns();
    if (found.waits_for_room && found.fenced->system == ENOSPC)
      slot.for_room = wanted.policy;
    if (wanted.policy.lift_fence)
      runtime::log(slot.seen_state == log_state::open ? log_level::warning : log_level::error,
                   "log_unfenced",
                   {{"log", log.value},
                    {"directory", wanted.policy.directory},
                    {"end", slot.log->durable_end().value},
                    {"state", name_of(slot.seen_state)}});
    tell_journal_state(slot);
    slot.log->hold_space(held(log));
    report_space(*slot.log, log_state::open);
    if (closing_)
      slot.log->close();
    const bool unwanted = std::any_of(job.then.begin(), job.then.end(), [](const auto& each) {
      return std::holds_alternative<delete_log>(each);
    });
    if (unwanted) { // ingestion has forgotten it already
      if (wanted.requester)
        send(wanted.requester, log_opened{log, wanted.cookie, false, errc::topic_not_found});
    } else {
      send(routes_.ingestion,
           log_ready{std::make_shared<const storage::append_start>(slot.log->start()),
                     wanted.requester, wanted.cookie});
    }
    log_changed(*slot.log);
    if (slot.log->segment_count() > (slot.log->has_active() ? 1U : 0U))
      scrubber_->log_came(log);
  }
  const auto then = std::move(job.then);
  opening_.pop_front(); // the job itself
  open_next();
  for (const auto& each : then) {
    if (const auto* again = std::get_if<open_log>(&each))
      open(*again);
    else
      remove(std::get<delete_log>(each));
  }
}

poller_actor::open_job* poller_actor::opening_job(log_id log) noexcept {
  for (const auto& each : opening_)
    if (each->wanted.policy.log == log)
      return each.get();
  return nullptr;
}

void poller_actor::log_changed(storage::log& which) {
  auto found = logs_.find(which.id().value);
  if (found == logs_.end() || found->second.changed)
    return;
  found->second.changed = true;
  changed_.push_back(&found->second);
}

void poller_actor::submit(sealed& message) {
  const auto log = message.run.log;
  auto found = logs_.find(log.value);
  if (found == logs_.end()) {
    for (const auto& each : message.acks)
      answer(each, log, false, errc::topic_not_found);
    return;
  }
  auto& slot = found->second;
  if (closing_ || leaving(slot)) { // of somebody who did not wait for the drain, or of our own
    for (const auto& each : message.acks)
      answer(each, log, false, errc::read_only);
    return;
  }
  for (const auto& each : message.acks)
    slot.acks.wait(each);
  metrics_.add(counter::batches_written, message.run.batches.size());
  if (slot.submitted_ns == 0 && !message.run.empty())
    slot.submitted_ns = message.sealed_ns;
  slot.log->submit(message.run);
  log_changed(*slot.log);
}

void poller_actor::settle() {
  for (std::size_t i = 0; i < changed_.size(); ++i) // settling may bring further changes
    if (changed_[i] != nullptr)
      settle(*changed_[i]);
  changed_.clear();
}

void poller_actor::settle(log_slot& slot) {
  slot.changed = false;
  auto& log = *slot.log;
  const auto now = home_lane().time().steady_ns();
  log.pump(now);
  if (log.due_ns() < deadline_ns)
    home_lane().arm(*this, log.due_ns()); // a group lingers: before the next tick
  const auto progress = log.take_progress();
  note_commits(slot, progress.groups > 0);
  slot.acks.durable(log.id(), progress.durable_next, *this);
  if (progress.failed)
    slot.acks.failed(log.id(), progress.failed_end, errc::io_failed, *this);
  report(slot, progress);
  after_segment_end(slot, progress.closed_segments > 0);
  if (progress.grant_changed)
    send(routes_.ingestion, log_grant{log.id(), progress.grant});
  if (progress.batches > 0)
    wake_followers(slot, false);
  if (log.closed() || closing_for_ || leaving(slot))
    advance_ends();
}

// `ended`: a commit of the log, after which the next one may have begun already.
void poller_actor::note_commits(log_slot& slot, bool ended) {
  const bool before = std::exchange(slot.writing, slot.log->writing());
  if (before == slot.writing && !(before && ended))
    return;
  if (slot.writing)
    read_budget_.commit_began();
  if (before)
    read_budget_.commit_ended();
  allow_reads();
}

void poller_actor::report(log_slot& slot, const storage::log_progress& progress) {
  if (progress.groups > 0) {
    const auto now = home_lane().time().steady_ns();
    metrics_.add(counter::io_ops_completed, progress.groups);
    metrics_.add(counter::io_ops_submitted, progress.groups);
    metrics_.add(counter::bytes_written, progress.group_bytes);
    metrics_.observe(histogram::io_write_latency, progress.write_ns);
    metrics_.observe(histogram::stage_write, progress.write_ns);
    if (progress.flush_ns > 0) {
      metrics_.observe(histogram::io_flush_latency, progress.flush_ns);
      metrics_.observe(histogram::stage_flush, progress.flush_ns);
    }
    if (slot.submitted_ns != 0)
      metrics_.observe(histogram::ack_latency, now - std::min(now, slot.submitted_ns));
    slot.submitted_ns = slot.acks.empty() ? 0 : now;
    read_budget_.committed(now, progress.group_bytes / progress.groups,
                           progress.write_ns + progress.flush_ns);
    allow_reads();
  }
  if (progress.state == slot.seen_state)
    return;
  const auto id = slot.log->id().value;
  const auto severity = progress.state == log_state::open || progress.state == log_state::closed
                            ? log_level::info
                            : log_level::error;
  runtime::log(severity, "log_state",
               {{"log", id},
                {"directory", slot.log->directory()},
                {"from", name_of(slot.seen_state)},
                {"to", name_of(progress.state)},
                {"error", progress.failed ? std::strerror(progress.failure.system) : ""}});
  if (severity == log_level::error)
    metrics_.add(counter::errors_io);
  report_space(*slot.log, slot.seen_state);
  slot.seen_state = progress.state;
  tell_journal_state(slot);
  count_states();
}

void poller_actor::tell_journal_state(const log_slot& slot) {
  const auto state = slot.log->state();
  if (slot.log->id() == meta_log && state != log_state::closed)
    send(routes_.metadata,
         journal_state{state != log_state::fenced && state != log_state::damaged});
}

void poller_actor::remove(const delete_log& wanted) {
  if (auto* job = opening_job(wanted.log)) {
    job->then.emplace_back(wanted);
    return;
  }
  auto found = logs_.find(wanted.log.value);
  if (auto closed = unopened_.find(wanted.log.value); closed != unopened_.end()) {
    auto& job = *removing_.emplace_back(
        std::make_unique<remove_job>(*this, std::move(closed->second.policy.directory), wanted.log,
                                     wanted.requester, wanted.cookie));
    unopened_.erase(closed);
    home_lane().helper().submit(job);
    return;
  }
  if (found == logs_.end()) {
    if (wanted.requester)
      send(wanted.requester, log_deleted{wanted.log, wanted.cookie, true});
    return;
  }
  auto& slot = found->second;
  slot.deleting = true;
  slot.requester = wanted.requester;
  slot.cookie = wanted.cookie;
  wake_followers(slot, true);
  slot.log->close();
  log_changed(*slot.log);
}

// Ends what has come to its end: deleted logs whose last operation is over, and the drain.
void poller_actor::advance_ends() {
  for (auto entry = logs_.begin(); entry != logs_.end();) {
    auto& slot = entry->second;
    const bool over = slot.log->closed() && slot.log->idle() && slot.fetches == 0 && !slot.dropping;
    if (!leaving(slot) || !over) {
      ++entry;
      continue;
    }
    const auto id = slot.log->id();
    const auto again = slot.again;
    remove_job* job = nullptr;
    if (slot.deleting)
      job = removing_
                .emplace_back(std::make_unique<remove_job>(*this, slot.log->directory(), id,
                                                           slot.requester, slot.cookie))
                .get();
    note_commits(slot, false);
    slot.acks.fail_all(id, slot.deleting ? errc::topic_not_found : errc::io_failed, *this);
    // Not erased: settle() may be walking the list, and whom it skipped would stay marked for ever.
    std::replace(changed_.begin(), changed_.end(), &slot, static_cast<log_slot*>(nullptr));
    entry = logs_.erase(entry);
    if (job != nullptr)
      home_lane().helper().submit(*job);
    if (again && job != nullptr && again->requester)
      send(again->requester, log_opened{id, again->cookie, false, errc::topic_not_found});
    if (again && job == nullptr)
      open(*again);
  }
  if (closing_for_ && scrubber_->idle() &&
      std::all_of(logs_.begin(), logs_.end(),
                  [](const auto& entry) { return entry.second.log->closed(); })) {
    send(closing_for_, logs_closed{options_.shard});
    closing_for_ = nullptr;
  }
}

void poller_actor::describe(const describe_log& wanted) {
  log_described facts{wanted.log, wanted.cookie, false, {}};
  if (auto found = logs_.find(wanted.log.value); found != logs_.end()) {
    auto& log = *found->second.log;
    facts.done = true;
    facts.facts = {.partition = 0,
                   .log = wanted.log,
                   .start = log.start_offset(),
                   .end = log.durable_end(),
                   .durable_end = log.durable_end(),
                   .records = log.durable_records().value - log.start_record().value,
                   .first_record = log.start_record(),
                   .segments = log.segment_count(),
                   .bytes = log.disk_bytes(),
                   .state = found->second.again ? "opening" : std::string{state_of(log)}};
  } else if (opening_job(wanted.log) != nullptr || unopened_.contains(wanted.log.value)) {
    facts.done = true;
    facts.facts.log = wanted.log;
    facts.facts.state = opening_job(wanted.log) != nullptr ? "opening" : "not_open";
  }
  send(wanted.requester, std::move(facts));
}

// -- reads -----------------------------------------------------------------------------------

void poller_actor::serve_waiting() {
  while (!reads_.empty() && serve(reads_.front()))
    reads_.pop();
}

bool poller_actor::serve(runtime::message_ref<read_request>& request) {
  auto found = logs_.find(request->log.value);
  if (opening_job(request->log) != nullptr)
    return refuse(request, errc::log_opening);
  if (found == logs_.end() && unopened_.contains(request->log.value))
    return refuse(request, errc::io_failed);
  if (found == logs_.end() || found->second.deleting)
    return refuse(request, errc::topic_not_found);
  if (found->second.again)
    return refuse(request, errc::log_opening);
  auto& slot = found->second;
  if (!nobody_waits_ && fetcher::should_wait(*request, *slot.log)) {
    const auto now = home_lane().time().steady_ns();
    const auto limit = request->received_ns + request->max_wait_ms * ms_in_ns;
    if (limit > now) {
      slot.following.push_back(std::move(request));
      if (limit < deadline_ns)
        home_lane().arm(*this, limit);
      return true;
    }
  }
  if (idle_fetchers_.empty())
    return false;
  auto reply = memory_.reply_messages.take();
  if (!reply)
    return false;
  auto& by = *idle_fetchers_.back();
  idle_fetchers_.pop_back();
  ++slot.fetches;
  if (by.begin(request, reply, *slot.log, buffers_for_one()))
    return true;
  --slot.fetches;
  idle_fetchers_.push_back(&by);
  metrics_.add(counter::consumer_throttled);
  return false;
}

// While there is plenty one reply fills four buffers, and few requests bring much. The scarcer they
// are the less each gets, so that many slow readers leave something for the others.
std::uint32_t poller_actor::buffers_for_one() const noexcept {
  constexpr std::uint32_t most = 4;
  constexpr std::uint32_t readers = 8; // as many again can be served like this one
  const auto lent = memory_.replies->lent();
  const auto left = memory_.replies->count() - std::min(lent, memory_.replies->count());
  return std::clamp(left / readers, 1U, most);
}

bool poller_actor::refuse(runtime::message_ref<read_request>& request, errc why) {
  auto reply = memory_.reply_messages.take();
  if (!reply)
    return false; // all are on their way to readers: fed() brings us back
  reply->to = request->from;
  reply->log = request->log;
  reply->kind = request->kind;
  reply->done = false;
  reply->refusal = why;
  reply->received_ns = request->received_ns;
  finished_.push_back(std::move(reply));
  request.reset();
  return true;
}

void poller_actor::fetched(fetcher& by) {
  auto found = logs_.find(by.log()->id().value);
  LANCE_CHECK(found != logs_.end());
  --found->second.fetches;
  auto& reply = *by.reply();
  if (reply.done) {
    std::uint64_t bytes = 0;
    for (const auto size : reply.sizes)
      bytes += size;
    metrics_.add(counter::reads);
    metrics_.add(counter::read_bytes, bytes);
  } else if (reply.refusal == errc::corrupt) {
    metrics_.add(counter::errors_checksum);
  }
  if (by.log()->damage().has_news())
    damage_changed(*by.log());
  finished_.push_back(std::move(by.reply()));
  if (leaving(found->second))
    log_changed(*by.log());
  by.release();
  idle_fetchers_.push_back(&by);
}

// -- bit rot ---------------------------------------------------------------------------------

std::optional<scrub_target> poller_actor::closed_after(log_id log, batch_number after) {
  const auto first_behind = [](const storage::log& one,
                               batch_number behind) -> std::optional<scrub_target> {
    const auto closed = one.segment_count() - (one.has_active() ? 1 : 0);
    for (std::size_t i = 0; i < closed; ++i)
      if (const auto& facts = one.segment_at(i);
          facts.id.first > behind && one.is_closed_segment(facts.id))
        return scrub_target{one.id(), one.directory(), facts};
    return std::nullopt;
  };
  std::optional<scrub_target> best;
  if (auto* here = log_of(log); here != nullptr)
    best = first_behind(*here, after);
  if (best)
    return best;
  for (const auto& [id, slot] : logs_)
    if (id > log.value && (!best || id < best->log.value) && !slot.deleting)
      if (auto found = first_behind(*slot.log, batch_number{}))
        best = std::move(found);
  return best;
}

std::optional<scrub_target> poller_actor::closed_at(log_id log, batch_number first) {
  const auto* found = log_of(log);
  if (found == nullptr)
    return std::nullopt;
  for (std::size_t i = 0; i < found->segment_count(); ++i)
    if (const auto& facts = found->segment_at(i);
        facts.id.first == first && found->is_closed_segment(facts.id))
      return scrub_target{log, found->directory(), facts};
  return std::nullopt;
}

std::uint64_t poller_actor::closed_bytes() {
  std::uint64_t sum = 0;
  for (const auto& [id, slot] : logs_) {
    const auto& log = *slot.log;
    const auto count = log.segment_count();
    sum += log.disk_bytes() -
           (log.has_active() ? log.segment_at(count - 1).file_bytes : std::uint64_t{0});
  }
  return sum;
}

storage::log* poller_actor::log_of(log_id log) {
  auto found = logs_.find(log.value);
  return found == logs_.end() || found->second.deleting ? nullptr : found->second.log.get();
}

// Says once of each batch that it is damaged, and has doubtful segments looked through.
void poller_actor::damage_changed(storage::log& log) {
  auto& damage = log.damage();
  while (const auto segment = damage.take_doubted())
    scrubber_->urge(log.id(), *segment);
  const auto now = home_lane().time().steady_ns();
  while (const auto batch = damage.take_unreported()) {
    metrics_.add(counter::crc_failures);
    const auto told = damage_events_.take(now);
    if (!told)
      continue;
    runtime::log(log_level::error, "batch_damaged",
                 {{"log", log.id().value},
                  {"directory", log.directory()},
                  {"batch", batch->number.value},
                  {"offset", batch->offset.value},
                  {"end", batch->end.value},
                  {"untold_before", told->held_back},
                  {"remedy", "reads go on behind it; restore the segment from a copy, or stop the "
                             "broker and run lnc segment repair"}});
  }
  double damaged = 0;
  for (const auto& [id, slot] : logs_)
    damaged += static_cast<double>(slot.log->damage().size());
  metrics_.set(gauge::damaged_batches, damaged);
  arm_timer(now);
}

void poller_actor::scrub_advanced() {
  if (closing_for_)
    advance_ends();
  arm_timer(home_lane().time().steady_ns());
}

void poller_actor::wake_followers(log_slot& slot, bool all) {
  const auto now = home_lane().time().steady_ns();
  std::size_t kept = 0;
  for (auto& each : slot.following) {
    const bool over = all || each->received_ns + each->max_wait_ms * ms_in_ns <= now ||
                      !fetcher::should_wait(*each, *slot.log);
    if (!over) {
      slot.following[kept++] = std::move(each);
      continue;
    }
    each->max_wait_ms = 0;
    reads_.push(std::move(each));
  }
  slot.following.resize(kept);
}

// -- answers ---------------------------------------------------------------------------------

void poller_actor::answer(const pending_ack& ack, log_id log, bool durable, errc refusal) {
  const auto& to = ack.to;
  if (to.network == reply_address::internal) {
    send(routes_.metadata, appended{log, to.ticket, ack.batch, durable, refusal});
    return;
  }
  unsent_.push({to, outcome{to.session, to.generation, to.ticket, durable, refusal}});
}

void poller_actor::send_answers() {
  const auto now = home_lane().time().steady_ns();
  while (!unsent_.empty()) {
    const auto network = unsent_.front().first.network;
    auto& filling = answers_[network];
    if (filling && filling->list.size() == outcomes_max)
      memory_.outcome_messages.send(routes_.networks[network], std::move(filling), context());
    if (!filling) {
      filling = memory_.outcome_messages.take();
      if (!filling)
        break; // fed() brings us back
      filling->durable_ns = now;
    }
    filling->list.push_back(unsent_.pop().second);
  }
  for (std::size_t network = 0; network < answers_.size(); ++network)
    if (answers_[network])
      memory_.outcome_messages.send(routes_.networks[network], std::move(answers_[network]),
                                    context());
}

void poller_actor::send_replies() {
  for (auto& each : finished_) {
    const auto network = each->to.network;
    memory_.reply_messages.send(routes_.networks[network], std::move(each), context());
  }
  finished_.clear();
}

// -- time ------------------------------------------------------------------------------------

void poller_actor::expired(std::uint64_t now_ns) {
  if (now_ns >= next_tick_ns_) {
    next_tick_ns_ = now_ns + options_.storage.tick_ns;
    for (auto& [id, slot] : logs_) {
      slot.log->tick(now_ns);
      log_changed(*slot.log);
    }
    budget_reads(now_ns);
    open_for_space(now_ns);
  } else {
    for (auto& [id, slot] : logs_)
      if (slot.log->due_ns() <= now_ns)
        log_changed(*slot.log);
  }
  for (auto& [id, slot] : logs_)
    if (!slot.following.empty())
      wake_followers(slot, false);
  show_disk_work();
  scrubber_->drive(now_ns);
  scrubber_->report_age(now_ns);
  metrics_.set(gauge::buffer_pool_saturation,
               static_cast<double>(memory_.replies->lent()) / memory_.replies->count());
  if (!reads_.empty()) {
    fed_.store(true, std::memory_order_relaxed);
    if (idle_fetchers_.size() == fetchers_.size()) // nobody reads: all buffers lie with the peers
      for (const auto& network : routes_.networks)
        send(network, readers_wait{});
  }
  arm_timer(now_ns);
}

void poller_actor::show_disk_work() {
  const auto started = reader_->disk_reads();
  const auto finished = reader_->disk_reads_done();
  metrics_.add(counter::io_ops_submitted, started - reads_shown_);
  metrics_.add(counter::io_ops_completed, finished - reads_done_shown_);
  reads_shown_ = started;
  reads_done_shown_ = finished;
  const auto writing = std::count_if(logs_.begin(), logs_.end(),
                                     [](const auto& entry) { return entry.second.log->writing(); });
  metrics_.set(gauge::pending_io,
               static_cast<double>(started - finished) + static_cast<double>(writing));
}

void poller_actor::allow_reads() {
  reader_->allow_read_ahead(!read_budget_.somebody_writes());
  reader_->allow(read_budget_.allowed_reads());
}

void poller_actor::budget_reads(std::uint64_t now_ns) {
  const bool pending = std::any_of(
      logs_.begin(), logs_.end(), [](const auto& entry) { return entry.second.submitted_ns != 0; });
  read_budget_.tick(now_ns, pending);
  allow_reads();
}

void poller_actor::arm_timer(std::uint64_t now_ns) {
  auto soonest = std::min(std::max(next_tick_ns_, now_ns), scrubber_->due_ns());
  for (auto& [id, slot] : logs_) {
    soonest = std::min(soonest, slot.log->due_ns());
    for (const auto& each : slot.following)
      soonest = std::min(soonest, each->received_ns + each->max_wait_ms * ms_in_ns);
  }
  home_lane().arm(*this, std::max(soonest, now_ns + 1));
}

} // namespace lance::actors
