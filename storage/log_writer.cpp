#include "storage/log_writer.hpp"

#include <algorithm>
#include <cerrno>

#include "runtime/check.hpp"
#include "runtime/log.hpp"
#include "runtime/plant.hpp"

namespace lance::storage {

using runtime::plant;
using runtime::planted;

log_writer::log_writer(const log_environment& environment, const log_policy& policy,
                       opened_log& opened, std::vector<std::shared_ptr<segment>>& segments,
                       std::function<void()> changed)
    : environment_(environment), policy_(policy), segments_(segments), changed_(std::move(changed)),
      line_(*environment.cache), index_([this] {
        close_next();
        pump(now());
      }),
      zero_([this] {
        close_next();
        pump(now());
        zero_ahead(true);
      }),
      shelf_(environment.recycled, environment.chosen.recycled_files) {
  durable_next_ = appended_next_ = opened.start.next_number;
  durable_end_ = opened.start.next_offset;
  durable_records_ = opened.start.next_record;
  producers_ = opened.start.producers;
  producers_owed_ = std::move(opened.producers_owed);
  damaged_ = opened.damaged;
  fenced_ = opened.report.fenced.has_value();
  if (fenced_)
    failure_ = {errc::io_failed, opened.report.fenced->system};
  last_flush_ns_ = now();
  if (opened.has_active)
    go_on_with_active(opened);
}

// -- taking batches ------------------------------------------------------------------------------

void log_writer::submit(sealed_run& run) {
  if (run.empty()) {
    if (!writable()) { // who waits for a batch of before hears what became of it
      progress_.failed = true;
      progress_.failed_end = appended_next_;
      note_change();
    }
    return;
  }
  LANCE_CHECK(run.batches.front().header.number == appended_next_ && !closing_,
              run.batches.front().header.number.value, appended_next_.value);
  appended_next_ = batch_number{run.batches.back().header.number.value + 1};
  if (!writable()) {
    progress_.failed = true;
    progress_.failed_end = appended_next_;
    run.clear();
    return note_change();
  }
  appended_segment_ = run.segment;
  appended_end_ = run.end;
  if (waiting_since_ns_ == 0)
    waiting_since_ns_ = now();
  queue_.push(run);
  expose_what_may();
  keep_space();
}

// With durability::memory a batch counts as soon as its segment is the active one.
void log_writer::expose_what_may() {
  const bool at_once = policy_.level == durability::memory || planted(plant::ack_before_write);
  if (!at_once || active_ == nullptr)
    return;
  while (exposed_ < queue_.size() && queue_.batch(exposed_).segment == active_->facts().id)
    expose_next();
}

// The next batch of the queue counts as durable: readers see it, acknowledgements may leave.
void log_writer::expose_next() {
  const auto& batch = queue_.batch(exposed_++);
  active_->add(batch);
  durable_next_ = batch_number{batch.header.number.value + 1};
  durable_end_ = batch.header.end_offset();
  durable_records_ = batch.header.end_record();
  producers_.appended(stamp_of(batch.header), batch.header.number, batch.header.append_time_ns);
  ++progress_.batches;
  note_change();
}

// -- groups --------------------------------------------------------------------------------------

void log_writer::pump(std::uint64_t now_ns) {
  if (!stalled_)
    start_next(now_ns);
}

void log_writer::start_next(std::uint64_t now_ns) {
  if (busy_ || !writable())
    return;
  if (queue_.empty()) {
    try_end_segment();
    return try_finish_close();
  }
  if (lingers(now_ns))
    return;
  group_ = queue_.next(environment_.chosen.group_bytes);
  if (active_ == nullptr || active_->facts().id != group_.segment)
    if (!enter_segment(group_.segment) || !writable())
      return;
  if (!zero_.blocks(group_.write_end()))
    start_group(now_ns);
}

bool log_writer::lingers(std::uint64_t now_ns) {
  due_ns_ = ~std::uint64_t{0};
  if (policy_.linger_ns == 0 || closing_ || queue_.bytes() >= environment_.chosen.group_bytes ||
      now_ns >= waiting_since_ns_ + policy_.linger_ns)
    return false;
  due_ns_ = waiting_since_ns_ + policy_.linger_ns;
  return true;
}

void log_writer::start_group(std::uint64_t now_ns) {
  LANCE_CHECK(group_.begin == written_end_, group_.begin, written_end_);
  LANCE_CHECK(group_.write_end() <= allocated_, group_.write_end(), allocated_);
  busy_ = in_flight_ = true;
  flush_only_ = false;
  parts_done_ = false;
  began_ns_ = parts_done_ns_ = now_ns;
  waiting_since_ns_ = group_.batches == queue_.size() ? 0 : now_ns;
  request_.parts.clear();
  queue_.cut(group_, request_.parts);
  request_.flush = policy_.level == durability::fsync && !planted(plant::group_without_flush);
  // record 6/9: written and synced
  active_->data().write(request_);
}

// Makes all that is written durable: before the next segment is begun, and now and then for levels
// that do not flush with each group. What the index says is thereby always below a flush.
void log_writer::start_flush() {
  busy_ = in_flight_ = true;
  flush_only_ = true;
  parts_done_ = false;
  request_.parts.clear();
  request_.flush = true;
  active_->data().write(request_);
}

void log_writer::parts_written() {
  parts_done_ = true;
  parts_done_ns_ = now();
}

void log_writer::group_written(result<> outcome) {
  in_flight_ = false;
  if (fenced_) { // meanwhile, by something else
    drop_pending();
    return try_finish_close();
  }
  if (flush_only_)
    return flush_written(outcome);
  if (!outcome && parts_done_ && planted(plant::retry_after_failed_flush)) {
    request_.parts.clear();
    in_flight_ = true;
    return active_->data().write(request_);
  }
  if (!outcome) {
    busy_ = false;
    const auto& why = outcome.error();
    // No room: nothing was promised and nothing is lost, so it is tried again. Anything else, and
    // any failed flush, leaves open what the device has.
    if (parts_done_ || (why.system != ENOSPC && why.system != EDQUOT))
      return fence(why, parts_done_ ? "flush_failed" : "write_failed");
    stalled_ = true;
    return note_change();
  }
  waits_for_name_ = (activate_job_.busy || activation_failed_) && !planted(plant::name_not_awaited);
  if (!waits_for_name_)
    conclude_group();
}

void log_writer::flush_written(result<> outcome) {
  busy_ = false;
  if (!outcome)
    return fence(outcome.error(), "flush_failed");
  flushed_batches_ = written_batches_;
  last_flush_ns_ = now();
  note_change(); // nothing is being written any more
  pump(now());
}

void log_writer::conclude_group() {
  busy_ = false;
  waits_for_name_ = false;
  stalled_ = false;
  while (exposed_ < group_.batches)
    expose_next();
  exposed_ -= group_.batches;
  queue_.pop(group_, [this](const image_chunk& chunk, std::uint64_t begin, std::uint64_t end) {
    line_.add(group_.segment, chunk, begin, end);
  });
  const auto now_ns = now();
  written_end_ = group_.end;
  written_batches_ += group_.batches;
  zero_.reached(written_end_);
  if (request_.flush) {
    flushed_batches_ = written_batches_;
    last_flush_ns_ = now_ns;
  }
  ++progress_.groups;
  progress_.group_bytes += group_.end - group_.begin;
  progress_.write_ns = parts_done_ns_ - began_ns_;
  progress_.flush_ns = now_ns - parts_done_ns_;
  if (flushed_batches_ - std::min<std::uint64_t>(flushed_batches_, index_.written_entries()) >=
      environment_.chosen.index_group_entries)
    index_.write(*active_->growing(), flushed_batches_);
  note_change();
  keep_space();
  pump(now_ns);
}

// From here on nothing is acknowledged, also after a restart: the note says so.
void log_writer::fence(const error& why, std::string_view reason) {
  if (fenced_)
    return;
  runtime::log(runtime::log_level::error, "log_fenced",
               {{"log", policy_.log.value},
                {"directory", policy_.directory},
                {"reason", reason},
                {"errno", why.system},
                {"durable_next", durable_next_.value},
                {"remedy", "see that the disk is well, then lnc topic unfence"}});
  fenced_ = true;
  note_ = {std::string{reason}, why.system, environment_.clock->wall_ns(), durable_next_,
           durable_end_};
  note_owed_ = true;
  failure_ = why;
  progress_.failed = true;
  progress_.failed_end = appended_next_;
  due_ns_ = ~std::uint64_t{0};
  waits_for_name_ = false;
  if (!in_flight_) // else the device still reads the buffers
    drop_pending();
  note_change();
  note_fence();
}

void log_writer::note_fence() {
  if (!note_owed_ || fence_job_.busy)
    return;
  note_tried_ns_ = now();
  fence_job_.deed = [this] {
    note_result_ = write_fence_note(*environment_.door, policy_.directory, note_);
  };
  fence_job_.then = [this] { fence_noted(); };
  start_job(fence_job_);
}

// A disk that takes not even the note: tried again while the process lives.
void log_writer::fence_noted() {
  const auto outcome = std::exchange(note_result_, {});
  note_owed_ = !outcome;
  if (!outcome)
    runtime::log(runtime::log_level::error, "fence_not_noted",
                 {{"log", policy_.log.value},
                  {"directory", policy_.directory},
                  {"errno", outcome.error().system}});
  try_finish_close();
}

void log_writer::drop_pending() {
  queue_.clear();
  exposed_ = 0;
  busy_ = false;
}

// -- time ----------------------------------------------------------------------------------------

void log_writer::tick(std::uint64_t now_ns) {
  if (writable()) {
    if (activation_failed_ && !activate_job_.busy)
      start_activation();
    if (stalled_)
      start_next(now_ns);
    if (active_ != nullptr && !busy_ && flushed_batches_ < written_batches_ &&
        now_ns - last_flush_ns_ >= environment_.chosen.lazy_flush_ns)
      start_flush();
    if (active_ != nullptr && active_->growing() != nullptr)
      index_.write(*active_->growing(),
                   planted(plant::index_ahead_of_flush) ? written_batches_ : flushed_batches_);
    keep_space();
    note_producers();
    close_next();
    pump(now_ns);
    zero_ahead(false);
  }
  if (note_owed_ && now_ns - note_tried_ns_ >= environment_.chosen.lazy_flush_ns)
    note_fence();
  try_finish_close();
}

void log_writer::close() {
  closing_ = true;
  pump(now());
  try_finish_close();
}

void log_writer::set_level(durability level, std::uint64_t linger_ns) {
  policy_.level = level;
  policy_.linger_ns = linger_ns;
  expose_what_may();
}

void log_writer::set_retention(const retention_policy& policy) {
  if (policy_.retention == policy)
    return;
  policy_.retention = policy;
  note_change(); // the grant says where to roll
  keep_space();
}

// -- what is said to others ----------------------------------------------------------------------

bool log_writer::idle() const noexcept {
  return queue_.empty() && at_rest();
}

bool log_writer::at_rest() const noexcept {
  return !busy_ && !index_.busy() && !zero_.busy() && !activate_job_.busy && !space_job_.busy &&
         !close_job_.busy && !fence_job_.busy && !producers_job_.busy;
}

log_state log_writer::state() const noexcept {
  if (damaged_)
    return log_state::damaged;
  if (fenced_)
    return log_state::fenced;
  if (closing_)
    return log_state::closed;
  if (stalled_ || activation_failed_)
    return log_state::stalled;
  return space_short_ || held_short_ ? log_state::no_space : log_state::open;
}

append_grant log_writer::grant() const noexcept {
  return {state(), ordinal_, active_ != nullptr ? allocated_ : 0,
          spare_ != nullptr ? spare_bytes_ : 0, roll_at()};
}

append_grant log_writer::take_grant() {
  return granted_ = grant();
}

log_progress log_writer::take_progress() {
  noted_ = false;
  auto taken = std::exchange(progress_, {});
  taken.durable_next = durable_next_;
  taken.durable_end = durable_end_;
  taken.durable_records = durable_records_;
  taken.state = state();
  taken.failure = failure_;
  taken.grant = grant();
  taken.grant_changed = taken.grant != granted_;
  granted_ = taken.grant;
  return taken;
}

void log_writer::note_change() {
  if (std::exchange(noted_, true))
    return;
  changed_();
}

byte_view log_writer::in_memory(segment_id segment, std::uint64_t position) const noexcept {
  const auto pending = queue_.find(segment, position);
  return pending.empty() ? line_.find(segment, position) : pending;
}

} // namespace lance::storage
