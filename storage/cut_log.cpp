#include "storage/cut_log.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "storage/fence_note.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/open_log.hpp"
#include "storage/producer_recovery.hpp"
#include "storage/recovery.hpp"

namespace lance::storage {

namespace {

struct found_segment {
  std::string name;
  layout::file_name facts;
};

[[nodiscard]] bool closed(const found_segment& one) noexcept {
  return one.facts.kind == layout::file_kind::closed_segment;
}

result<> refuse_fenced(disk& door, const std::string& directory) {
  const auto note = find_fence_note(door, directory);
  if (!note)
    return tl::unexpected(note.error());
  return *note ? fail(errc::log_fenced) : result<>{};
}

// Ascending.
result<std::vector<found_segment>> segments_of(disk& door, const std::string& directory) {
  auto names = door.list(directory);
  if (!names)
    return tl::unexpected(names.error());
  std::vector<found_segment> found;
  for (auto& name : *names)
    if (const auto facts = layout::parse(name); facts.kind == layout::file_kind::active_segment ||
                                                facts.kind == layout::file_kind::closed_segment)
      found.push_back({std::move(name), facts});
  return found;
}

class cutting {
 public:
  cutting(disk& door, const std::string& directory, const cut_wish& wish)
      : door_(door), directory_(directory), wish_(wish) {}

  result<cut_report> run();

 private:
  result<> judge();
  result<recovered_segment> recover(const found_segment& one, file& data) const;
  result<> remove_behind();
  result<> remove(const found_segment& one);
  result<> keep_numbers();
  result<> shorten();
  result<> cut_index(std::size_t entries);
  result<> reopen();

  [[nodiscard]] std::string path(std::string_view name) const {
    return layout::join(directory_, name);
  }

  disk& door_;
  const std::string& directory_;
  const cut_wish& wish_;
  std::vector<found_segment> segments_;
  std::size_t kept_ = 0; // leading segments that keep a batch
  // The last segment that stays; without one, the first of those that go.
  std::unique_ptr<file> data_;
  recovered_segment edge_;
  cut_report report_;
};

result<cut_report> cutting::run() {
  if (const auto well = refuse_fenced(door_, directory_); !well)
    return tl::unexpected(well.error());
  auto found = segments_of(door_, directory_);
  if (!found)
    return tl::unexpected(found.error());
  segments_ = std::move(*found);
  auto done = judge();
  if (done)
    done = forget_producers_from(door_, directory_, wish_.log, wish_.end);
  if (done && kept_ == 0 && !segments_.empty())
    done = keep_numbers();
  if (done)
    done = remove_behind();
  if (done && kept_ > 0)
    done = shorten();
  if (!done)
    return tl::unexpected(done.error());
  return report_;
}

// Everything that may be refused is refused here, before anything is changed.
result<> cutting::judge() {
  if (wish_.end < wish_.committed_end)
    return fail(errc::invalid_request);
  kept_ = static_cast<std::size_t>(std::ranges::count_if(
      segments_, [&](const auto& one) { return one.facts.segment.first < wish_.end; }));
  if (segments_.empty()) {
    const auto start = read_log_start(door_, directory_, wish_.log);
    if (!start)
      return tl::unexpected(start.error());
    const auto end = *start ? (*start)->next_number : first_batch_number;
    return wish_.end == end ? result<>{} : fail(errc::invalid_request);
  }
  if (wish_.end < segments_.front().facts.segment.first)
    return fail(errc::invalid_request);
  const auto& one = segments_[kept_ == 0 ? 0 : kept_ - 1];
  auto data = door_.open(path(one.name), {});
  if (!data)
    return tl::unexpected(data.error());
  data_ = std::move(*data);
  auto edge = recover(one, *data_);
  if (!edge)
    return tl::unexpected(edge.error());
  edge_ = std::move(*edge);
  if (kept_ == 0)
    return edge_.entries.empty() ? fail(errc::corrupt) : result<>{};
  if (wish_.end <= edge_.facts.end_number())
    return {};
  return fail(edge_.damaged || kept_ < segments_.size() ? errc::corrupt : errc::invalid_request);
}

// A closed segment is judged as an active one: every batch, as its index has them.
result<recovered_segment> cutting::recover(const found_segment& one, file& data) const {
  const auto id = one.facts.segment;
  const auto index = load_index(door_, path(layout::index_name(id)));
  auto found = recover_active(data, index ? index->bytes() : byte_view{}, wish_.log, id);
  if (index && index->failed())
    return fail(errc::io_failed, EIO);
  return found;
}

// As retention does before the last segment goes.
result<> cutting::keep_numbers() {
  const auto& facts = edge_.facts;
  log_start numbers{wish_.log, wish_.end, facts.first_offset, facts.first_record, wish_.base_term,
                    {},        0};
  return write_log_start(door_, directory_, numbers);
}

// Newest first, each durably: at any moment the rest is a log.
result<> cutting::remove_behind() {
  while (segments_.size() > kept_) {
    if (const auto gone = remove(segments_.back()); !gone)
      return gone;
    segments_.pop_back();
    ++report_.segments_removed;
  }
  return {};
}

result<> cutting::remove(const found_segment& one) {
  if (const auto gone = door_.remove(path(one.name)); !gone)
    return gone;
  if (const auto index = path(layout::index_name(one.facts.segment)); door_.exists(index))
    if (const auto gone = door_.remove(index); !gone)
      return gone;
  return door_.sync_directory(directory_);
}

// The index first: what it vouches for must be there, or it is damage. Then the name, as a closed
// segment has to end with its last batch.
result<> cutting::shorten() {
  const auto batches = wish_.end.value - edge_.facts.id.first.value;
  const bool shorter = batches < edge_.entries.size();
  auto done = shorter ? cut_index(std::min<std::size_t>(batches, edge_.sound_entries)) : result<>{};
  if (done)
    done = reopen();
  if (!done || !shorter)
    return done;
  const auto end = edge_.entries[batches - 1].file_end();
  report_.bytes_cut = edge_.facts.file_bytes - end;
  done = data_->truncate(end);
  return done ? data_->sync() : done;
}

// To the entries that were right before: it does not vouch for more than it did.
result<> cutting::cut_index(std::size_t entries) {
  const auto name = path(layout::index_name(edge_.facts.id));
  if (!door_.exists(name))
    return {};
  auto index = door_.open(name, {});
  if (!index)
    return tl::unexpected(index.error());
  const auto size = (*index)->size();
  if (!size)
    return tl::unexpected(size.error());
  const std::uint64_t wanted = entries == 0 ? 0 : index_header_bytes + entries * index_entry_bytes;
  auto done = *size > wanted ? (*index)->truncate(wanted) : result<>{};
  return done ? (*index)->sync() : done;
}

result<> cutting::reopen() {
  const auto& one = segments_[kept_ - 1];
  if (!closed(one))
    return {};
  report_.reopened = true;
  const auto renamed = door_.rename(path(one.name), path(layout::active_name(one.facts.segment)));
  return renamed ? door_.sync_directory(directory_) : renamed;
}

} // namespace

result<cut_report> cut_log(disk& door, const std::string& directory, const cut_wish& wish) {
  return cutting{door, directory, wish}.run();
}

result<> begin_log_at(disk& door, const std::string& directory, const log_start& start,
                      byte_view producers) {
  if (const auto well = refuse_fenced(door, directory); !well)
    return well;
  const auto segments = segments_of(door, directory);
  if (!segments)
    return tl::unexpected(segments.error());
  if (!segments->empty() && segments->back().facts.segment.first >= start.next_number)
    return fail(errc::invalid_request);
  // What it knows of producers is of another past; who begins a log elsewhere brings it along.
  if (const auto forgot = forget_producers_from(door, directory, start.log, batch_number{});
      !forgot)
    return forgot;
  // While the log still ends before, it is no knowledge of that log, and recovery drops it.
  if (!producers.empty())
    if (const auto known = write_producers(door, directory, producers); !known)
      return known;
  // Says nothing while there is a segment.
  if (const auto noted = write_log_start(door, directory, start); !noted)
    return noted;
  // Oldest first: what is left after a crash ends where the log ended.
  for (std::size_t at = 0; at < segments->size(); ++at) {
    const auto& one = (*segments)[at];
    if (at + 1 == segments->size())
      if (const auto synced = door.sync_directory(directory); !synced)
        return synced;
    if (const auto gone = door.remove(layout::join(directory, one.name)); !gone)
      return gone;
    (void)door.remove(layout::join(directory, layout::index_name(one.facts.segment)));
  }
  return door.sync_directory(directory);
}

} // namespace lance::storage
