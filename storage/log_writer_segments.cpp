// The part of log_writer that begins and ends segments and keeps space ahead of the appender.
#include <algorithm>
#include <cerrno>

#include "runtime/check.hpp"
#include "runtime/log.hpp"
#include "runtime/plant.hpp"
#include "storage/layout.hpp"
#include "storage/log_writer.hpp"
#include "storage/producer_recovery.hpp"
#include "storage/segment_files.hpp"

namespace lance::storage {

void log_writer::start_job(cold_job& job) {
  job.busy = true;
  if (environment_.helper != nullptr)
    return environment_.helper->submit(job);
  job.run();
  job.finish();
}

// -- beginning and ending ------------------------------------------------------------------------

void log_writer::go_on_with_active(opened_log& opened) {
  active_ = segments_.back();
  const auto& facts = active_->facts();
  allocated_ = opened.allocated;
  written_end_ = appended_end_ = facts.file_bytes;
  written_batches_ = flushed_batches_ = facts.batches;
  appended_segment_ = facts.id;
  // Without the file (the disk was full) nothing is known of what it holds: the close writes it
  // all.
  const auto indexed = opened.index_file != nullptr ? facts.batches : 0;
  index_.begin(std::move(opened.index_file), policy_.log, facts.id, indexed);
  zero_.begin(active_->data(), written_end_);
}

// The spare becomes the active segment; the one before is flushed first, so that a segment that has
// a successor is always whole. False: not yet, a completion will come.
bool log_writer::enter_segment(segment_id id) {
  if (active_ != nullptr && flushed_batches_ < written_batches_ &&
      !runtime::planted(runtime::plant::last_flush_dropped)) {
    start_flush();
    return false;
  }
  if (index_.busy() || activate_job_.busy)
    return false;
  LANCE_CHECK(spare_ != nullptr, id.first.value); // a grant said so
  if (active_ != nullptr)
    retire_active();
  auto entries =
      index_memory_ != nullptr ? std::move(index_memory_) : std::make_unique<active_index>();
  entries->clear();
  segment_facts facts;
  facts.id = id;
  facts.last_ns = id.first_ns;
  facts.first_offset = facts.end_offset = durable_end_;
  facts.first_record = facts.end_record = durable_records_;
  active_ = std::make_shared<segment>(facts, std::move(spare_), std::move(entries));
  segments_.push_back(active_);
  ++ordinal_;
  allocated_ = std::exchange(spare_bytes_, 0);
  written_end_ = written_batches_ = flushed_batches_ = 0;
  if (!zero_.busy())
    zero_.begin(active_->data(), spare_written_);
  start_activation();
  if (!fenced_) {
    expose_what_may();
    close_next();
    keep_space();
    note_change();
  }
  return true;
}

// The file is written under its old name meanwhile; its first group counts when both are done.
void log_writer::start_activation() {
  activate_job_.deed = [this] {
    activate_result_ = activate_spare(*environment_.door, policy_.directory, active_->facts().id);
  };
  activate_job_.then = [this] { activated(); };
  start_job(activate_job_);
}

void log_writer::activated() {
  auto outcome = std::exchange(activate_result_, {});
  if (fenced_)
    return;
  if (!outcome) {
    activation_failed_ = outcome.error().system == ENOSPC || outcome.error().system == EDQUOT;
    return activation_failed_ ? note_change() : fence(outcome.error(), "rename_failed");
  }
  activation_failed_ = false;
  index_.begin(std::move(*outcome), policy_.log, active_->facts().id, 0);
  close_next();
  if (waits_for_name_) // else the segment's first group is still on its way, or not begun
    conclude_group();
}

// Every batch of the segment is flushed, and none behind it counts yet.
void log_writer::retire_active() {
  to_close_.push({active_, index_.written_entries(),
                  encode_producers(policy_.log, active_->facts().end_number(), producers_)});
  index_.end();
  zero_.end();
  active_.reset();
}

// The appender has left the segment, and perhaps begun another already: then that one's first group
// ends this one, as always.
void log_writer::end_segment(segment_id which) {
  if (!writable() || closing_ || appended_segment_ != which)
    return;
  ending_ = which;
  pump(now());
}

// Nothing is pending: an ended segment is closed once all of it is durable.
void log_writer::try_end_segment() {
  if (!ending_ || busy_ || index_.busy() || activate_job_.busy || activation_failed_)
    return;
  if (active_ != nullptr && active_->facts().id == *ending_) {
    if (flushed_batches_ < written_batches_)
      return start_flush();
    retire_active();
  }
  ending_.reset();
  close_next();
  keep_space();
  note_change();
}

void log_writer::close_next() {
  if (close_job_.busy || to_close_.empty() || zero_.busy() || activate_job_.busy ||
      producers_job_.busy || fenced_)
    return;
  // What is known of producers goes first: retention may drop a closed segment.
  close_job_.deed = [this] {
    const auto& closing = to_close_.front();
    const auto noted =
        runtime::planted(runtime::plant::producers_not_noted)
            ? result<>{}
            : write_producers(*environment_.door, policy_.directory, closing.producers);
    close_result_ = !noted ? tl::unexpected(noted.error())
                           : close_segment(*environment_.door, policy_.directory, policy_.log,
                                           closing.which->facts(), closing.which->data(),
                                           closing.which->index(), closing.indexed);
  };
  close_job_.then = [this] { segment_closed(); };
  start_job(close_job_);
}

void log_writer::segment_closed() {
  auto outcome = std::exchange(close_result_, {});
  if (!outcome) {
    if (outcome.error().system != ENOSPC && outcome.error().system != EDQUOT)
      fence(outcome.error(), "close_failed");
    to_close_.front().indexed = 0; // unknown how far it came: all of it again, at the next tick
    return;
  }
  const auto closed = to_close_.pop();
  index_memory_ = closed.which->become_closed(std::move(*outcome));
  producers_owed_.clear();
  ++progress_.closed_segments;
  note_change();
  close_next();
  try_finish_close();
}

// What recovery had no room to write. Nothing may be dropped before.
void log_writer::note_producers() {
  if (producers_owed_.empty() || producers_job_.busy || close_job_.busy)
    return;
  producers_job_.deed = [this, known = producers_owed_] {
    producers_result_ = write_producers(*environment_.door, policy_.directory, known);
  };
  producers_job_.then = [this] {
    if (std::exchange(producers_result_, {}))
      producers_owed_.clear();
    close_next();
    try_finish_close();
  };
  start_job(producers_job_);
}

// After close(): once nothing is pending, the active segment is closed too.
void log_writer::try_finish_close() {
  if (!closing_ || closed_ || !idle())
    return;
  if (!fenced_ && !damaged_) {
    if (active_ != nullptr) {
      if (flushed_batches_ < written_batches_)
        return start_flush();
      retire_active();
    }
    if (!to_close_.empty())
      return close_next();
    if (spare_ != nullptr) {
      spare_.reset();
      (void)environment_.door->remove(layout::join(policy_.directory, layout::spare_name));
    }
    for (const auto& name : take_shelf())
      (void)environment_.door->remove(layout::join(policy_.directory, name));
  }
  closed_ = true;
  note_change();
}

// -- space ---------------------------------------------------------------------------------------

// Allocation runs ahead of the appender: the active segment always has room for a batch of the
// largest size, or the next one is ready, or the grant says that there is no space.
void log_writer::keep_space() {
  if (!writable() || closing_ || space_job_.busy)
    return;
  const auto& chosen = environment_.chosen;
  const bool appending_here = active_ != nullptr && appended_segment_ == active_->facts().id;
  const auto end = appending_here ? align_up(appended_end_, block_bytes) : written_end_;
  const bool longer =
      appending_here && allocated_ < chosen.segment_bytes && allocated_ < end + step() / 2;
  const bool near_end = active_ == nullptr || end + 2 * step() > chosen.segment_bytes ||
                        (roll_at() < chosen.segment_bytes && end >= roll_at() / 2);
  const bool another = spare_ == nullptr && near_end && !activation_failed_ && !activate_job_.busy;
  if ((policy_.space_held || space_short_) && shelf_.size() > 0)
    return clear_shelf();
  if (policy_.space_held) {
    if (std::exchange(held_short_, longer || another) != held_short_)
      note_change();
    return;
  }
  if (longer)
    return extend(std::min(chosen.segment_bytes, end + step()));
  if (another)
    prepare();
}

std::uint64_t log_writer::step() const noexcept {
  const auto bytes =
      policy_.allocate_bytes != 0 ? policy_.allocate_bytes : environment_.chosen.allocate_bytes;
  return std::min(bytes, environment_.chosen.segment_bytes);
}

void log_writer::hold_space(bool held) {
  if (policy_.space_held == held)
    return;
  policy_.space_held = held;
  if (!held && std::exchange(held_short_, false))
    note_change();
  keep_space();
}

// A recycled file is taken whole, as it holds that much of the disk anyway.
void log_writer::prepare() {
  if (const auto kept = shelf_.take()) {
    space_wanted_ = spare_written_ = environment_.chosen.segment_bytes;
    space_job_.deed = [this, name = kept->name] {
      prepare_result_ = prepare_recycled(*environment_.door, policy_.directory, name, policy_.log,
                                         space_wanted_, policy_.direct);
    };
    space_job_.then = [this] {
      if (prepare_result_)
        return prepared();
      prepare_result_ = {};
      keep_space(); // it is gone; another one, or a new file
    };
    return start_job(space_job_);
  }
  space_wanted_ = step();
  spare_written_ = std::min(space_wanted_, environment_.chosen.preallocate_bytes);
  space_job_.deed = [this] {
    prepare_result_ = prepare_spare(*environment_.door, policy_.directory, space_wanted_,
                                    environment_.chosen.preallocate_bytes, policy_.direct);
  };
  space_job_.then = [this] { prepared(); };
  start_job(space_job_);
}

void log_writer::prepared() {
  auto outcome = std::exchange(prepare_result_, {});
  if (!outcome)
    return note_space(&outcome.error());
  spare_ = std::move(*outcome);
  spare_bytes_ = space_wanted_;
  note_space(nullptr);
}

void log_writer::extend(std::uint64_t bytes) {
  space_wanted_ = bytes;
  // Held by the job: the segment may be retired meanwhile, and then the close waits its turn behind
  // this job on the helper and cuts the file to size again.
  space_job_.deed = [this, which = active_] {
    extend_result_ = which->data().allocate(space_wanted_);
  };
  space_job_.then = [this, which = active_] {
    if (which == active_)
      return extended();
    extend_result_ = {};
    keep_space();
  };
  start_job(space_job_);
}

void log_writer::extended() {
  const auto outcome = std::exchange(extend_result_, {});
  if (!outcome)
    return note_space(&outcome.error());
  allocated_ = space_wanted_;
  note_space(nullptr);
}

void log_writer::note_space(const error* failure) {
  const bool was_short = std::exchange(space_short_, failure != nullptr);
  if (failure != nullptr && !was_short)
    runtime::log(
        runtime::log_level::error, "no_space_for_log",
        {{"log", policy_.log.value}, {"directory", policy_.directory}, {"errno", failure->system}});
  if (failure == nullptr && was_short)
    runtime::log(runtime::log_level::info, "space_for_log_again", {{"log", policy_.log.value}});
  note_change();
  // There may be more to do, or to give up; after a failure else the next tick tries again.
  if (failure == nullptr || shelf_.size() > 0)
    keep_space();
}

// When the disk is full what is kept makes room, here or for others.
void log_writer::clear_shelf() {
  space_job_.deed = [this, names = take_shelf()] {
    for (const auto& name : names)
      (void)environment_.door->remove(layout::join(policy_.directory, name));
  };
  space_job_.then = [this] { keep_space(); };
  start_job(space_job_);
}

std::vector<std::string> log_writer::take_shelf() {
  std::vector<std::string> names;
  while (auto kept = shelf_.take())
    names.push_back(std::move(kept->name));
  return names;
}

// Only while nothing is pending. Begins when half of what should be zeroed is used up, then goes on
// until all is.
void log_writer::zero_ahead(bool going_on) {
  const auto ahead = environment_.chosen.preallocate_bytes;
  if (ahead == 0 || active_ == nullptr || busy_ || !queue_.empty() || !to_close_.empty() ||
      closing_ || !writable() || space_job_.busy)
    return;
  const auto end = align_up(written_end_, block_bytes);
  const auto target = std::min(end + ahead, align_down(allocated_, block_bytes));
  if (going_on || zero_.written_to() < end + ahead / 2)
    zero_.write(target);
}

} // namespace lance::storage
