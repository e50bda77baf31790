#include "storage/log.hpp"

#include <algorithm>
#include <cerrno>

#include "runtime/check.hpp"
#include "runtime/plant.hpp"
#include "storage/layout.hpp"
#include "storage/log_writer.hpp"
#include "storage/open_log.hpp"

namespace lance::storage {

using runtime::plant;
using runtime::planted;

struct log::core {
  core(const log_environment& around, const log_policy& policy, opened_log&& opened)
      : environment(around), report(opened.report), start(opened.start),
        segments(std::move(opened.segments)),
        writer(around, policy, opened, segments, [this] { changed(); }) {}

  void changed() {
    if (live && environment.owner != nullptr)
      environment.owner->log_changed(*home);
  }

  // Segments that are not read any more make room for others.
  void leave_page_cache(std::uint64_t now_ns) {
    std::erase_if(cached, [&](const auto& weak) {
      const auto one = weak.lock();
      if (one == nullptr || !one->in_page_cache())
        return true;
      const bool unread = one.use_count() == 2; // the log's, and ours
      if (!unread || !one->habit.idle(now_ns))
        return false;
      one->leave_page_cache();
      return true;
    });
  }

  log_environment environment;
  recovery_report report;
  append_start start;
  std::vector<std::shared_ptr<segment>> segments; // ascending
  std::vector<std::weak_ptr<segment>> cached;     // read through the page cache
  log* home = nullptr;
  bool live = false; // progress before open() returns is told by start()
  std::uint64_t uses = 0;
  damage_list damage;
  log_writer writer;
};

result<std::unique_ptr<log>> log::open(const log_environment& environment,
                                       const log_policy& policy) {
  LANCE_CHECK(validate(environment.chosen).empty());
  auto opened = open_log_directory(environment, policy);
  if (!opened)
    return tl::unexpected(opened.error());
  std::unique_ptr<log> made{
      new log(std::make_unique<core>(environment, policy, std::move(*opened)))};
  made->core_->home = made.get();
  return made;
}

log::log(std::unique_ptr<core> made) : core_(std::move(made)) {}
log::~log() = default;

const recovery_report& log::recovered() const noexcept {
  return core_->report;
}

append_start log::start() {
  core_->writer.begin();
  core_->live = true;
  (void)core_->writer.take_progress();
  auto start = core_->start;
  start.grant = core_->writer.take_grant();
  return start;
}

void log::submit(sealed_run& run) {
  core_->writer.submit(run);
}
void log::pump(std::uint64_t now_ns) {
  core_->writer.pump(now_ns);
}
void log::tick(std::uint64_t now_ns) {
  core_->writer.tick(now_ns);
  core_->leave_page_cache(now_ns);
}
std::uint64_t log::due_ns() const noexcept {
  return core_->writer.due_ns();
}
log_progress log::take_progress() {
  return core_->writer.take_progress();
}
bool log::idle() const noexcept {
  return core_->writer.idle();
}
bool log::at_rest() const noexcept {
  return core_->writer.at_rest();
}
bool log::writing() const noexcept {
  return core_->writer.writing();
}
void log::close() {
  core_->writer.close();
}
bool log::closed() const noexcept {
  return core_->writer.closed();
}

log_id log::id() const noexcept {
  return core_->writer.policy().log;
}
const std::string& log::directory() const noexcept {
  return core_->writer.policy().directory;
}
durability log::level() const noexcept {
  return core_->writer.policy().level;
}
void log::set_level(durability level, std::uint64_t linger_ns) {
  core_->writer.set_level(level, linger_ns);
}
void log::set_retention(const retention_policy& policy) {
  core_->writer.set_retention(policy);
}
log_state log::state() const noexcept {
  return core_->writer.state();
}
batch_number log::durable_next() const noexcept {
  return core_->writer.durable_next();
}
byte_offset log::durable_end() const noexcept {
  return core_->writer.durable_end();
}
record_number log::durable_records() const noexcept {
  return core_->writer.durable_records();
}
bool log::has_active() const noexcept {
  return core_->writer.has_active();
}
std::size_t log::segment_count() const noexcept {
  return core_->segments.size();
}
const segment_facts& log::segment_at(std::size_t at) const noexcept {
  return core_->segments[at]->facts();
}

const producer_table& log::producers() const noexcept {
  return core_->writer.producers();
}
bool log::producers_owed() const noexcept {
  return core_->writer.producers_owed();
}

batch_number log::start_number() const noexcept {
  return core_->segments.empty() ? durable_next() : core_->segments.front()->facts().id.first;
}
byte_offset log::start_offset() const noexcept {
  return core_->segments.empty() ? durable_end() : core_->segments.front()->facts().first_offset;
}
record_number log::start_record() const noexcept {
  return core_->segments.empty() ? durable_records()
                                 : core_->segments.front()->facts().first_record;
}
std::uint64_t log::disk_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& one : core_->segments)
    sum += one->facts().file_bytes;
  return sum;
}

byte_view log::in_memory(segment_id segment, std::uint64_t position) const noexcept {
  return core_->writer.in_memory(segment, position);
}

// -- finding -------------------------------------------------------------------------------------

namespace {

using segment_list = std::vector<std::shared_ptr<segment>>;

// The last segment for which `begins_at_or_before` holds (for a prefix of them), or none.
template <class Begins>
const std::shared_ptr<segment>* last_that(const segment_list& segments, Begins begins) {
  const auto after = std::partition_point(segments.begin(), segments.end(),
                                          [&](const auto& one) { return begins(one->facts()); });
  return after == segments.begin() ? nullptr : &*std::prev(after);
}

// Opens the segment; lets the least recently used one go when too many are open.
result<std::shared_ptr<segment>> opened(const segment_list& segments,
                                        const std::shared_ptr<segment>& wanted,
                                        const log_environment& environment,
                                        const log_policy& policy, std::uint64_t& uses,
                                        damage_list& damage) {
  wanted->last_use = ++uses;
  if (wanted->is_open()) {
    // What the device could not give then it may give now.
    if (wanted->index_failed())
      if (const auto again = wanted->reload_index(*environment.door, policy.directory); !again)
        return tl::unexpected(again.error());
    return wanted;
  }
  std::size_t open_count = 0;
  segment* oldest = nullptr;
  for (const auto& one : segments) {
    if (!one->is_open() || one->growing() != nullptr)
      continue;
    ++open_count;
    const bool unread = one.use_count() == 1;
    if (unread && (oldest == nullptr || one->last_use < oldest->last_use))
      oldest = one.get();
  }
  if (open_count >= environment.chosen.open_segments && oldest != nullptr)
    oldest->release();
  if (const auto done = wanted->open(*environment.door, policy.directory, policy.direct); !done) {
    if (done.error().code != errc::bad_format && done.error().system != ENOENT)
      return tl::unexpected(done.error());
    damage.doubt(wanted->facts().id.first); // its index is derived: it will be made anew
    return fail(errc::corrupt);
  }
  return wanted;
}

// Nothing: the index says that it is not there. What could not be read of it says nothing.
result<located_batch> located(const segment& in, std::optional<std::size_t> at) {
  auto found = at ? result<located_batch>{{batch_number{in.facts().id.first.value + *at},
                                           in.index().entry(*at)}}
                  : fail(errc::offset_out_of_range);
  return in.index_failed() ? fail(errc::io_failed, EIO) : found;
}

} // namespace

result<std::shared_ptr<segment>> log::segment_of(batch_number number) {
  const auto* found = last_that(core_->segments, [=](const auto& facts) {
    return facts.id.first <= number && facts.batches > 0;
  });
  if (found == nullptr || number >= (*found)->facts().end_number())
    return fail(errc::offset_out_of_range);
  return opened(core_->segments, *found, core_->environment, core_->writer.policy(), core_->uses,
                core_->damage);
}

result<located_batch> log::find_number(batch_number number) {
  const auto in = segment_of(number);
  if (!in)
    return tl::unexpected(in.error());
  return located(**in, number.value - (*in)->facts().id.first.value);
}

result<located_batch> log::find_offset(byte_offset offset) {
  const auto* found = last_that(core_->segments, [=](const auto& facts) {
    return facts.first_offset <= offset && facts.batches > 0;
  });
  if (found == nullptr)
    return fail(errc::offset_out_of_range);
  const auto in = opened(core_->segments, *found, core_->environment, core_->writer.policy(),
                         core_->uses, core_->damage);
  if (!in)
    return tl::unexpected(in.error());
  return located(**in, (*in)->index().find_offset(offset));
}

result<located_batch> log::find_record(record_number record) {
  const auto* found = last_that(core_->segments, [=](const auto& facts) {
    return facts.first_record <= record && facts.batches > 0;
  });
  if (found == nullptr)
    return fail(errc::offset_out_of_range);
  const auto in = opened(core_->segments, *found, core_->environment, core_->writer.policy(),
                         core_->uses, core_->damage);
  if (!in)
    return tl::unexpected(in.error());
  return located(**in, (*in)->index().find_record(record));
}

result<located_batch> log::find_time(std::uint64_t time_ns) {
  // The first segment that ends at or after the time holds the batch, if any does.
  const auto& segments = core_->segments;
  const auto found = std::partition_point(segments.begin(), segments.end(), [=](const auto& one) {
    return one->facts().batches > 0 && one->facts().last_ns < time_ns;
  });
  if (found == segments.end() || (*found)->facts().batches == 0)
    return fail(errc::offset_out_of_range);
  const auto in = opened(segments, *found, core_->environment, core_->writer.policy(), core_->uses,
                         core_->damage);
  if (!in)
    return tl::unexpected(in.error());
  const auto at = (*in)->index().find_time(time_ns);
  if (!at && !(*in)->index_failed()) { // the facts say that it is here: the index has rotted
    core_->damage.doubt((*in)->facts().id.first);
    return fail(errc::corrupt);
  }
  return located(**in, at);
}

file& log::file_to_read(const std::shared_ptr<segment>& in, std::uint64_t bytes) {
  const auto& environment = core_->environment;
  const auto& policy = core_->writer.policy();
  if (environment.reread == nullptr || in->growing() != nullptr || !policy.direct)
    return in->data();
  const auto& facts = in->facts();
  in->habit.read(bytes, environment.clock->steady_ns());
  if (!in->habit.hot(facts.file_bytes))
    return in->data();
  if (in->in_page_cache())
    return in->read_from();
  if (!environment.reread->take(facts.file_bytes))
    return in->data();
  reread_share share{*environment.reread, facts.file_bytes};
  auto buffered = environment.door->open(
      layout::join(policy.directory, layout::closed_name(facts.id, facts.last_ns)),
      {.read_only = true});
  if (!buffered) { // then the device is what there is
    in->habit.distrust();
    return in->data();
  }
  in->enter_page_cache(std::move(*buffered), std::move(share));
  core_->cached.push_back(in);
  return in->read_from();
}

// -- bit rot -------------------------------------------------------------------------------------

damage_list& log::damage() noexcept {
  return core_->damage;
}

namespace {

segment* closed_segment(const segment_list& segments, segment_id wanted) {
  const auto found = std::find_if(segments.begin(), segments.end(), [&](const auto& one) {
    return one->facts().id == wanted && one->growing() == nullptr;
  });
  return found == segments.end() ? nullptr : found->get();
}

} // namespace

bool log::is_closed_segment(segment_id segment) const noexcept {
  return closed_segment(core_->segments, segment) != nullptr;
}

result<> log::reload_index(segment_id segment) {
  auto* found = closed_segment(core_->segments, segment);
  if (found == nullptr)
    return {};
  return found->reload_index(*core_->environment.door, directory());
}

// -- retention -----------------------------------------------------------------------------------

namespace {

bool is_closed(const std::shared_ptr<segment>& one) noexcept {
  return one->growing() == nullptr;
}

log_start numbers_after(log_id log, const segment& last) {
  const auto& facts = last.facts();
  const auto entry = last.index().entry(facts.batches - 1);
  return {log,           facts.end_number(), facts.end_offset,    facts.end_record,
          entry.in_term, entry.key,          entry.append_time_ns};
}

// A file that is full, and will be: no more of the disk is taken than the next segment takes
// anyway.
bool worth_keeping(const segment& one, const log_policy& policy, const options& chosen) noexcept {
  const auto full =
      chosen.segment_bytes - chosen.segment_bytes / 8; // the largest batch did not fit
  return one.facts().file_bytes >= full && policy.allocate_bytes == 0 &&
         roll_position(policy.retention, chosen) == chosen.segment_bytes;
}

} // namespace

retention_plan log::plan_retention(std::uint64_t wall_ns) const {
  const auto& policy = core_->writer.policy().retention;
  if (!policy.limited() || core_->writer.state() == log_state::damaged)
    return {};
  std::vector<segment_facts> facts;
  std::size_t closed = 0;
  for (const auto& each : core_->segments) {
    closed += is_closed(each) ? 1 : 0;
    facts.push_back(each->facts());
  }
  return storage::plan_retention(facts, closed, has_active() && !ending(), policy, durable_next(),
                                 wall_ns);
}

segment_removal log::take_before(batch_number number) {
  auto& segments = core_->segments;
  segment_removal removal;
  removal.directory = directory();
  auto end = std::find_if(segments.begin(), segments.end(), [=](const auto& each) {
    const bool passed = planted(plant::durable_end_passed) && each->facts().batches > 0;
    return (!is_closed(each) && !passed) || each->facts().end_number() > number;
  });
  if (planted(plant::one_segment_too_many) && end != segments.begin() && end != segments.end() &&
      is_closed(*end))
    ++end;
  if (end == segments.begin() || core_->writer.state() == log_state::damaged ||
      core_->writer.producers_owed())
    return removal;
  // An active segment carries the numbers once a crash cannot empty it any more; the tail of a
  // fenced log, which was only read back, does not.
  const auto rest = segments.end() - end;
  const bool carried =
      rest > 1 ||
      (rest == 1 && (is_closed(*end) || (has_active() && core_->writer.active_outlives_crash())));
  if (!carried) {
    const auto last = opened(segments, *(end - 1), core_->environment, core_->writer.policy(),
                             core_->uses, core_->damage);
    if (last)
      removal.numbers = numbers_after(id(), **last);
    else
      --end; // its numbers cannot be read now: it stays, and carries them
  }
  removal.segments.assign(segments.begin(), end);
  segments.erase(segments.begin(), end);
  for (const auto& each : removal.segments) {
    const bool read = each.use_count() > 1; // its bytes must stay for those
    const bool keep = !read &&
                      worth_keeping(*each, core_->writer.policy(), core_->environment.chosen) &&
                      core_->writer.shelf().reserve(each->facts().file_bytes);
    removal.fates.push_back(keep ? segment_fate::keep : segment_fate::remove);
  }
  if (const auto& taken = removal.segments; !taken.empty())
    core_->damage.clear(taken.front()->facts().id.first, taken.back()->facts().end_number());
  return removal;
}

void log::put_back(segment_removal& removal) {
  removal.settle(core_->writer.shelf());
  auto& left = removal.segments;
  left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(removal.removed));
  core_->segments.insert(core_->segments.begin(), left.begin(), left.end());
  left.clear();
}

result<std::size_t> log::drop_segments_before(batch_number number) {
  auto removal = take_before(number);
  if (removal.empty())
    return 0;
  const auto done = removal.run(*core_->environment.door);
  put_back(removal);
  if (!done)
    return tl::unexpected(done.error());
  return removal.removed;
}

void log::end_segment(segment_id which) {
  core_->writer.end_segment(which);
}
bool log::ending() const noexcept {
  return core_->writer.ending();
}
void log::hold_space(bool held) {
  core_->writer.hold_space(held);
}

} // namespace lance::storage
