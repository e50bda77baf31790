#include "storage/open_log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "runtime/check.hpp"
#include "runtime/log.hpp"
#include "runtime/plant.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/log_start.hpp"
#include "storage/producer_recovery.hpp"
#include "storage/recovery.hpp"
#include "storage/segment_files.hpp"

namespace lance::storage {

namespace {

using runtime::log_level;
using runtime::plant;
using runtime::planted;

struct found_file {
  std::string name;
  layout::file_name facts;
};

// One log on its way from names to segments.
class opening {
 public:
  opening(const log_environment& environment, const log_policy& policy)
      : environment_(environment), policy_(policy), door_(*environment.door) {}

  result<opened_log> run();

 private:
  result<> find_files();
  result<> look_for_fence();
  result<> drop_empty_tail();
  result<bool> drop_if_empty(const found_file& last);
  result<bool> take_segment(std::size_t at);
  result<bool> take_closed(const found_file& one);
  result<bool> take_active(const found_file& one, const found_file* next);
  bool take_fenced(recovered_segment found, std::unique_ptr<file> data);
  bool take_up_to_damage(const recovered_segment& found, std::unique_ptr<file> data);
  result<> keep_for_good(file& data, const recovered_segment& found);
  void take_as_found(const recovered_segment& found, std::unique_ptr<file> data);
  result<bool> set_aside(file& data, const recovered_segment& found);
  void fence(const error& why, std::string_view reason);
  result<> finish_close(const found_file& one, const recovered_segment& found, file& data);
  result<> go_on_with(const found_file& one, const recovered_segment& found,
                      std::unique_ptr<file> data);
  result<> remove_leftovers();
  result<> set_unnamed_segment_aside();
  result<> move_aside(const std::string& name);
  [[nodiscard]] bool fenced() const noexcept { return made_.report.fenced.has_value(); }
  [[nodiscard]] bool fenced_by_note() const noexcept {
    return fenced() && !made_.report.waits_for_room;
  }
  [[nodiscard]] bool follows(const recovered_segment& found) const noexcept;
  void damaged_at(batch_number number);
  result<> note_numbers_kept();
  result<> note_end();

  [[nodiscard]] std::string path(std::string_view name) const {
    return layout::join(policy_.directory, name);
  }
  [[nodiscard]] std::string index_path(segment_id id) const { return path(layout::index_name(id)); }
  [[nodiscard]] std::unique_ptr<mapping> index_of(segment_id id) const {
    return load_index(door_, index_path(id));
  }

  const log_environment& environment_;
  const log_policy& policy_;
  disk& door_;
  std::vector<found_file> segments_;
  std::vector<found_file> indexes_;
  std::vector<std::string> recycled_; // of an earlier run: it alone knew what they hold
  opened_log made_;
  index_entry last_;
};

byte_view bytes_of(const std::unique_ptr<mapping>& index) noexcept {
  return index != nullptr ? index->bytes() : byte_view{};
}

// Asked after it was judged: what could not be read is no word about the log.
result<> judge_read(const std::unique_ptr<mapping>& index) {
  return index != nullptr && index->failed() ? fail(errc::io_failed, EIO) : result<>{};
}

result<opened_log> opening::run() {
  if (const auto made = door_.make_directories(policy_.directory); !made)
    return tl::unexpected(made.error());
  if (const auto looked = look_for_fence(); !looked)
    return tl::unexpected(looked.error());
  if (const auto found = find_files(); !found)
    return tl::unexpected(found.error());
  if (const auto dropped = drop_empty_tail(); !dropped)
    return tl::unexpected(dropped.error());
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const auto more = take_segment(i);
    if (!more)
      return tl::unexpected(more.error());
    if (!*more)
      break;
  }
  if (const auto noted = note_end(); !noted)
    return tl::unexpected(noted.error());
  if (made_.damaged || fenced()) // the files stay as they were found
    return std::move(made_);
  if (const auto removed = remove_leftovers(); !removed)
    return tl::unexpected(removed.error());
  if (const auto moved = set_unnamed_segment_aside(); !moved)
    return tl::unexpected(moved.error());
  auto producers = recover_producers(door_, policy_.directory, policy_.log, made_.segments,
                                     made_.start.next_number);
  if (!producers)
    return tl::unexpected(producers.error());
  made_.start.producers = std::move(producers->table);
  made_.producers_owed = std::move(producers->owed);
  if (const auto synced = door_.sync_directory(policy_.directory); !synced)
    return tl::unexpected(synced.error());
  if (policy_.lift_fence)
    if (const auto lifted = remove_fence_note(door_, policy_.directory); !lifted)
      return tl::unexpected(lifted.error());
  return std::move(made_);
}

result<> opening::look_for_fence() {
  if (policy_.lift_fence)
    return {};
  auto note = find_fence_note(door_, policy_.directory);
  if (!note)
    return tl::unexpected(note.error());
  if (*note)
    runtime::log(log_level::error, "log_still_fenced",
                 {{"log", policy_.log.value},
                  {"directory", policy_.directory},
                  {"reason", (*note)->reason},
                  {"errno", (*note)->system},
                  {"remedy", "see that the disk is well, then lnc topic unfence"}});
  made_.report.fenced = std::move(*note);
  return {};
}

result<> opening::find_files() {
  auto names = door_.list(policy_.directory);
  if (!names)
    return tl::unexpected(names.error());
  for (auto& name : *names) {
    const auto facts = layout::parse(name);
    if (facts.kind == layout::file_kind::active_segment ||
        facts.kind == layout::file_kind::closed_segment)
      segments_.push_back({std::move(name), facts});
    else if (facts.kind == layout::file_kind::index)
      indexes_.push_back({std::move(name), facts});
    else if (facts.kind == layout::file_kind::recycled)
      recycled_.push_back(std::move(name));
  }
  // Names are sorted, so that two claims on one first batch are neighbours.
  for (std::size_t i = 1; i < segments_.size(); ++i)
    if (segments_[i].facts.segment.first == segments_[i - 1].facts.segment.first) {
      runtime::log(log_level::error, "two_segments_claim_one_place",
                   {{"directory", policy_.directory},
                    {"first", segments_[i - 1].name},
                    {"second", segments_[i].name}});
      return fail(errc::bad_format);
    }
  return {};
}

// A segment taken into use right before a crash may not have got its first batch. What it holds is
// set aside, and the one before is the last again. In a fenced log it is only passed over.
result<> opening::drop_empty_tail() {
  while (!segments_.empty() && segments_.back().facts.kind == layout::file_kind::active_segment) {
    const auto dropped = drop_if_empty(segments_.back());
    if (!dropped)
      return tl::unexpected(dropped.error());
    if (!*dropped)
      break;
    segments_.pop_back();
  }
  return {};
}

result<bool> opening::drop_if_empty(const found_file& last) {
  const auto id = last.facts.segment;
  auto data = door_.open(path(last.name), {});
  if (!data)
    return tl::unexpected(data.error());
  const auto index = index_of(id);
  if (!believable_entries(bytes_of(index), policy_.log, id).empty())
    return false;
  if (const auto read = judge_read(index); !read)
    return tl::unexpected(read.error());
  if (policy_.lift_fence)
    if (const auto forgot = (*data)->forget_cached(); !forgot)
      return tl::unexpected(forgot.error());
  batch_walk walk{**data, policy_.log, id, true};
  const auto first = walk.next();
  if (!first)
    return tl::unexpected(first.error());
  if (*first)
    return false;
  if (fenced())
    return true;
  recovered_segment nothing;
  nothing.facts.id = id;
  const auto aside = set_aside(**data, nothing);
  if (!aside)
    return tl::unexpected(aside.error());
  if (!*aside)
    return true;
  data->reset();
  if (const auto removed = door_.remove(path(last.name)); !removed)
    return tl::unexpected(removed.error());
  return true;
}

// False: the readable log ends before (or within) this segment.
result<bool> opening::take_segment(std::size_t at) {
  const auto& one = segments_[at];
  if (one.facts.kind == layout::file_kind::closed_segment)
    return take_closed(one);
  return take_active(one, at + 1 < segments_.size() ? &segments_[at + 1] : nullptr);
}

bool opening::follows(const recovered_segment& found) const noexcept {
  if (made_.segments.empty())
    return true;
  const auto& before = made_.segments.back()->facts();
  return found.facts.id.first == before.end_number() &&
         found.facts.first_offset == before.end_offset &&
         found.facts.first_record == before.end_record;
}

void opening::damaged_at(batch_number number) {
  made_.damaged = true;
  made_.report.damaged = true;
  made_.report.damaged_at = number;
  runtime::log(
      log_level::error, "log_damaged",
      {{"log", policy_.log.value}, {"directory", policy_.directory}, {"batch", number.value}});
}

result<bool> opening::take_closed(const found_file& one) {
  const auto id = one.facts.segment;
  auto data = door_.open(path(one.name), {.read_only = true});
  if (!data)
    return tl::unexpected(data.error());
  auto index = index_of(id);
  const auto found = recover_closed(**data, bytes_of(index), policy_.log, id, one.facts.last_ns);
  if (!found)
    return tl::unexpected(found.error());
  if (const auto read = judge_read(index); !read)
    return tl::unexpected(read.error());
  index.reset();
  if (found->entries.empty() || !follows(*found)) {
    damaged_at(id.first);
    return false;
  }
  if (found->damaged)
    return take_up_to_damage(*found, std::move(*data));
  made_.report.batches_walked += found->batches_walked;
  made_.report.bytes_walked += found->bytes_walked;
  if (found->sound_entries == 0 && fenced()) { // by an index in memory
    take_as_found(*found, std::move(*data));
    return true;
  }
  if (found->sound_entries == 0) {
    const auto written =
        write_index(door_, index_path(id), policy_.log, id, entry_list{found->entries}, 0, true);
    if (!written)
      return tl::unexpected(written.error());
    ++made_.report.indexes_rebuilt;
  }
  ++made_.report.closed_segments;
  made_.segments.push_back(std::make_shared<segment>(found->facts));
  last_ = found->entries.back();
  return true;
}

result<bool> opening::take_active(const found_file& one, const found_file* next) {
  const auto id = one.facts.segment;
  auto data = door_.open(path(one.name), {});
  if (!data)
    return tl::unexpected(data.error());
  if (policy_.lift_fence) // the operator says the device is well: then the device is asked
    if (const auto forgot = (*data)->forget_cached(); !forgot)
      return tl::unexpected(forgot.error());
  const auto index = index_of(id);
  auto found = recover_active(**data, bytes_of(index), policy_.log, id);
  if (!found)
    return tl::unexpected(found.error());
  if (const auto read = judge_read(index); !read)
    return tl::unexpected(read.error());
  made_.report.batches_walked += found->batches_walked;
  made_.report.bytes_walked += found->bytes_walked;
  if (found->entries.empty() || !follows(*found)) {
    damaged_at(id.first);
    return false;
  }
  // A segment is flushed before the next is begun: one that ends short of the next has lost
  // batches.
  if (found->damaged || (next != nullptr && found->facts.end_number() != next->facts.segment.first))
    return take_up_to_damage(*found, std::move(*data));
  if (fenced_by_note() && made_.report.fenced->durable_next.value != 0)
    return take_fenced(std::move(*found), std::move(*data));
  if (fenced_by_note()) { // a torn note: what was read back is made durable before it is read
    if (const auto kept = keep_for_good(**data, *found); !kept)
      return tl::unexpected(kept.error());
    take_as_found(*found, std::move(*data));
    return true;
  }
  const auto aside = fenced() ? result<bool>{false} : set_aside(**data, *found);
  if (!aside)
    return tl::unexpected(aside.error());
  if (!*aside) {
    take_as_found(*found, std::move(*data));
    return true;
  }
  if (const auto kept = keep_for_good(**data, *found); !kept)
    return tl::unexpected(kept.error());
  last_ = found->entries.back();
  const auto taken = next == nullptr ? go_on_with(one, *found, std::move(*data))
                                     : finish_close(one, *found, **data);
  if (!taken)
    return tl::unexpected(taken.error());
  return true;
}

// What was read back may never have been flushed; what is served or closed must be. A flush alone
// is not enough: where one has failed before, the kernel still shows bytes that the device does not
// have and takes them for clean. So what the index does not vouch for is written once more.
result<> opening::keep_for_good(file& data, const recovered_segment& found) {
  const auto sound = found.sound_entries;
  const auto from = sound == 0 ? 0 : found.entries[sound - 1].file_end();
  if (!planted(plant::tail_not_rewritten))
    if (const auto written = rewrite(data, from, found.facts.file_bytes); !written)
      return written;
  return planted(plant::tail_not_synced) ? result<>{} : data.sync();
}

// Readable by an index in memory; the files stay as they were found.
void opening::take_as_found(const recovered_segment& found, std::unique_ptr<file> data) {
  auto entries = std::make_unique<active_index>();
  for (const auto& entry : found.entries)
    entries->add(entry);
  made_.segments.push_back(
      std::make_shared<segment>(found.facts, std::move(data), std::move(entries)));
  last_ = found.entries.back();
}

bool opening::take_up_to_damage(const recovered_segment& found, std::unique_ptr<file> data) {
  damaged_at(found.facts.end_number());
  take_as_found(found, std::move(data));
  return false;
}

// Only what was durable when the log was fenced: a batch behind it may be gone after the next loss
// of power, and must not have been read before.
bool opening::take_fenced(recovered_segment found, std::unique_ptr<file> data) {
  const auto first = found.facts.id.first.value;
  const auto durable_next = made_.report.fenced->durable_next.value;
  const auto durable = durable_next - std::min(durable_next, first);
  const bool more = durable >= found.entries.size();
  if (!more)
    found.cut_to(durable);
  if (!found.entries.empty())
    take_as_found(found, std::move(data));
  return more;
}

// False: there is no room for what lies behind the end. Then nothing was cut, and the log is fenced
// until there is.
result<bool> opening::set_aside(file& data, const recovered_segment& found) {
  const auto id = found.facts.id;
  const auto end = found.facts.file_bytes;
  const auto next = found.facts.end_number();
  const auto tail =
      set_tail_aside(door_, data, end, {policy_.log, next}, environment_.quarantine,
                     layout::quarantine_file(policy_.log, id, end), environment_.chosen);
  if (!tail && tail.error().code == errc::exhausted) {
    fence(tail.error(), tail.error().system == ENOSPC ? "no_room" : "quarantine_full");
    return false;
  }
  if (!tail)
    return tl::unexpected(tail.error());
  if (tail->bytes == 0)
    return true;
  made_.report.quarantined_bytes += tail->bytes;
  runtime::log(log_level::warning, "torn_tail_set_aside",
               {{"log", policy_.log.value},
                {"segment", id.first.value},
                {"position", end},
                {"bytes", tail->bytes},
                {"path", tail->quarantine_path}});
  return true;
}

void opening::fence(const error& why, std::string_view reason) {
  made_.report.waits_for_room = true;
  made_.report.fenced = fence_note{std::string{reason}, why.system, 0, {}, {}};
  runtime::log(log_level::error, "tail_waits_for_room",
               {{"log", policy_.log.value},
                {"directory", policy_.directory},
                {"quarantine", environment_.quarantine},
                {"errno", why.system},
                {"remedy", why.system == ENOSPC
                               ? "make room on the disk; the log takes writes again then"
                               : "move away what the quarantine holds, then lnc topic unfence"}});
}

result<> opening::finish_close(const found_file& one, const recovered_segment& found, file& data) {
  const auto closed = close_segment(door_, policy_.directory, policy_.log, found.facts, data,
                                    entry_list{found.entries}, found.sound_entries);
  if (!closed)
    return tl::unexpected(closed.error());
  ++made_.report.closes_finished;
  ++made_.report.closed_segments;
  made_.segments.push_back(std::make_shared<segment>(found.facts));
  runtime::log(log_level::info, "segment_close_finished", {{"segment", one.name}});
  return {};
}

result<> opening::go_on_with(const found_file& one, const recovered_segment& found,
                             std::unique_ptr<file> data) {
  const auto id = one.facts.segment;
  if (const auto written = write_index(door_, index_path(id), policy_.log, id,
                                       entry_list{found.entries}, found.sound_entries);
      !written && written.error().system != ENOSPC)
    return written;
  else if (written)
    if (auto index = door_.open(index_path(id), {}); index)
      made_.index_file = std::move(*index);
  if (found.sound_entries == 0)
    ++made_.report.indexes_rebuilt;

  const auto block = align_down(found.facts.file_bytes, block_bytes);
  const auto in_block = found.facts.file_bytes - block;
  const auto got = data->read_now(block, {made_.start.tail.data(), in_block});
  if (!got)
    return tl::unexpected(got.error());
  LANCE_CHECK(*got == in_block, *got, in_block);
  const auto size = data->size();
  if (!size)
    return tl::unexpected(size.error());
  data.reset(); // from here on the file is written past the page cache
  auto written_to = door_.open(path(one.name), {.direct = policy_.direct});
  if (!written_to)
    return tl::unexpected(written_to.error());

  auto entries = std::make_unique<active_index>();
  for (const auto& entry : found.entries)
    entries->add(entry);
  made_.segments.push_back(
      std::make_shared<segment>(found.facts, std::move(*written_to), std::move(entries)));
  made_.has_active = true;
  made_.allocated = align_down(*size, block_bytes);
  made_.start.in_segment = true;
  made_.start.segment = id;
  made_.start.position = found.facts.file_bytes;
  made_.start.previous_crc = found.entries.back().header_crc;
  return {};
}

// Indexes without a segment, and kept files of dropped segments.
result<> opening::remove_leftovers() {
  for (const auto& name : recycled_)
    if (const auto removed = door_.remove(path(name)); !removed)
      return removed;
  for (const auto& index : indexes_) {
    const bool wanted = std::any_of(segments_.begin(), segments_.end(), [&](const auto& one) {
      return one.facts.segment == index.facts.segment;
    });
    if (!wanted)
      if (const auto removed = door_.remove(path(index.name)); !removed)
        return removed;
  }
  return {};
}

// A group may have been written into the spare before it got its name. Nobody was told of it, but
// the spare is about to be emptied.
result<> opening::set_unnamed_segment_aside() {
  const auto spare = path(layout::spare_name);
  if (!door_.exists(spare))
    return {};
  auto data = door_.open(spare, {});
  if (!data)
    return tl::unexpected(data.error());
  std::array<std::byte, batch_header_bytes> bytes{};
  const auto got = (*data)->read_now(0, bytes);
  if (!got)
    return tl::unexpected(got.error());
  const auto header = decode(byte_view{bytes}.first(*got));
  const bool ours = header && header->log == policy_.log &&
                    header->number == made_.start.next_number &&
                    chained(bytes, chain_seed(policy_.log, header->number));
  return ours ? move_aside(std::string{layout::spare_name}) : result<>{};
}

result<> opening::move_aside(const std::string& name) {
  const auto moved =
      set_file_aside(door_, path(name), environment_.quarantine,
                     layout::quarantine_file(policy_.log, name), environment_.chosen);
  if (!moved)
    return moved.error().code == errc::exhausted ? result<>{} : tl::unexpected(moved.error());
  ++made_.report.files_set_aside;
  runtime::log(log_level::warning, "file_set_aside",
               {{"log", policy_.log.value}, {"name", name}, {"path", *moved}});
  return {};
}

// Without a segment the numbers begin, or go on where retention has left them.
result<> opening::note_numbers_kept() {
  const auto kept = read_log_start(door_, policy_.directory, policy_.log);
  if (!kept) {
    runtime::log(log_level::error, "log_start_not_readable",
                 {{"log", policy_.log.value}, {"directory", policy_.directory}});
    return tl::unexpected(kept.error());
  }
  if (!*kept)
    return {};
  auto& start = made_.start;
  start.next_number = (*kept)->next_number;
  start.next_offset = (*kept)->next_offset;
  start.next_record = (*kept)->next_record;
  start.last_term = (*kept)->last_term;
  start.last_key = (*kept)->last_key;
  start.last_time_ns = (*kept)->last_time_ns;
  return {};
}

result<> opening::note_end() {
  auto& start = made_.start;
  start.log = policy_.log;
  start.next_number = first_batch_number;
  if (made_.segments.empty())
    return note_numbers_kept();
  const auto& facts = made_.segments.back()->facts();
  start.next_number = facts.end_number();
  start.next_offset = facts.end_offset;
  if (!planted(plant::records_counted_anew))
    start.next_record = facts.end_record;
  start.last_term = last_.in_term;
  start.last_key = last_.key;
  start.last_time_ns = last_.append_time_ns;
  return {};
}

} // namespace

result<opened_log> open_log_directory(const log_environment& environment,
                                      const log_policy& policy) {
  return opening{environment, policy}.run();
}

} // namespace lance::storage
