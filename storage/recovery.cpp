#include "storage/recovery.hpp"

#include <algorithm>
#include <cerrno>

#include "runtime/plant.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/recycled.hpp"

namespace lance::storage {

namespace {

constexpr std::size_t piece_bytes = 256 * KiB;
// Above this a closed segment's index is judged by its first and last entry only: reading all of it
// for every segment would make the start of a large node slow.
constexpr std::size_t thorough_entries = 16 * KiB;

void conclude(recovered_segment& found, segment_id segment) {
  auto& facts = found.facts;
  facts.id = segment;
  facts.last_ns = segment.first_ns;
  facts.batches = found.entries.size();
  if (found.entries.empty())
    return;
  const auto& first = found.entries.front();
  const auto& last = found.entries.back();
  facts.last_ns = last.append_time_ns;
  facts.file_bytes = last.file_end();
  facts.first_offset = first.offset;
  facts.first_record = first.first_record;
  facts.end_offset = last.end_offset();
  facts.end_record = last.end_record();
}

result<> walk_on(batch_walk& walk, recovered_segment& found) {
  const auto begin = walk.position();
  for (;;) {
    const auto batch = walk.next();
    if (!batch)
      return tl::unexpected(batch.error());
    found.bytes_walked = walk.position() - begin;
    if (!*batch) {
      if (runtime::planted(runtime::plant::last_batch_forgotten) && found.batches_walked > 0)
        found.entries.pop_back();
      return {};
    }
    found.entries.push_back(entry_of(**batch));
    ++found.batches_walked;
  }
}

// True if the entry at `at` is what the segment itself says.
result<bool> holds(file& data, log_id log, segment_id segment, const encoded_index& index,
                   std::size_t at, bool verify_payload) {
  batch_walk walk{data, log, segment, verify_payload};
  if (at > 0)
    walk.skip_to_after(at - 1, index.entry(at - 1));
  const auto batch = walk.next();
  if (!batch)
    return tl::unexpected(batch.error());
  return batch->has_value() && entry_of(**batch) == index.entry(at);
}

// True if the first and the last entry hold.
result<bool> ends_hold(file& data, log_id log, segment_id segment, const encoded_index& index,
                       bool verify_payload) {
  if (index.size() == 0)
    return false;
  const auto first = holds(data, log, segment, index, 0, false);
  if (!first || !*first)
    return first;
  return holds(data, log, segment, index, index.size() - 1, verify_payload);
}

result<recovered_segment> walk_all(file& data, log_id log, segment_id segment,
                                   bool verify_payloads) {
  recovered_segment found;
  batch_walk walk{data, log, segment, verify_payloads};
  if (const auto walked = walk_on(walk, found); !walked)
    return tl::unexpected(walked.error());
  conclude(found, segment);
  return found;
}

void take_all(recovered_segment& found, const encoded_index& index) {
  found.entries.reserve(index.size());
  for (std::size_t i = 0; i < index.size(); ++i)
    found.entries.push_back(index.entry(i));
  found.sound_entries = index.size();
}

// The position behind the last byte at or after `from` that is not zero; `from` when there is none.
result<std::uint64_t> end_of_data(file& data, std::uint64_t from) {
  std::vector<std::byte> piece(piece_bytes);
  auto last = from;
  for (auto at = from;;) {
    const auto next = data.next_data(at);
    if (!next)
      return tl::unexpected(next.error());
    at = *next;
    const auto got = data.read_now(at, piece);
    if (!got)
      return tl::unexpected(got.error());
    if (*got == 0)
      return last;
    for (auto i = *got; i-- > 0;)
      if (piece[i] != std::byte{0}) {
        last = at + i + 1;
        break;
      }
    at += *got;
  }
}

// The end of what a crash left of the log itself.
result<std::uint64_t> end_of_tail(file& data, std::uint64_t end, tail_owner owner) {
  const auto mark = find_mark(data, owner.log);
  if (!mark)
    return tl::unexpected(mark.error());
  if (*mark && **mark >= end)
    return end_of_newer(data, end, **mark, owner.log, owner.next);
  return end_of_data(data, end);
}

bool no_room(const error& why) noexcept {
  return why.system == ENOSPC || why.system == EDQUOT;
}

struct quarantine_use {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};

result<quarantine_use> use_of(disk& door, const std::string& directory) {
  const auto names = door.list(directory);
  if (!names)
    return tl::unexpected(names.error());
  quarantine_use use;
  for (const auto& name : *names) {
    const auto one = door.open(layout::join(directory, name), {.read_only = true});
    const auto size = one ? (*one)->size() : result<std::uint64_t>{0};
    use.bytes += size.value_or(0);
    ++use.files;
  }
  return use;
}

// To position `begin - shift` and on of `to`, which may be the same file.
result<> copy_range(file& from, std::uint64_t begin, std::uint64_t end, file& to,
                    std::uint64_t shift) {
  std::vector<std::byte> piece(piece_bytes);
  for (auto at = begin; at < end;) {
    const auto wanted = std::min<std::uint64_t>(piece.size(), end - at);
    const auto got = from.read_now(at, {piece.data(), wanted});
    if (!got)
      return tl::unexpected(got.error());
    if (*got == 0)
      return {};
    if (const auto put = to.write_now(at - shift, {piece.data(), *got}); !put)
      return put;
    at += *got;
  }
  return {};
}

// A name that is not taken: a segment may be torn at the same place twice.
std::string free_path(disk& door, const std::string& directory, const std::string& name) {
  const auto path = layout::join(directory, name);
  auto candidate = path;
  for (unsigned i = 1; door.exists(candidate); ++i)
    candidate = path + '.' + std::to_string(i);
  return candidate;
}

} // namespace

result<std::string> copy_aside(disk& door, file& data, std::uint64_t begin, std::uint64_t end,
                               const std::string& directory, const std::string& name) {
  const auto path = free_path(door, directory, name);
  auto target = door.open(path, {.create = true});
  if (!target)
    return tl::unexpected(target.error());
  auto done = copy_range(data, begin, end, **target, begin);
  if (done)
    done = (*target)->sync();
  if (done)
    done = door.sync_directory(directory);
  if (done)
    return path;
  (void)door.remove(path); // half a copy helps nobody, and the space may be wanted
  return tl::unexpected(done.error());
}

void recovered_segment::cut_to(std::size_t batches) {
  entries.resize(std::min(entries.size(), batches));
  sound_entries = std::min(sound_entries, batches);
  const auto id = facts.id;
  facts = {};
  conclude(*this, id);
}

result<recovered_segment> recover_active(file& data, byte_view index_file, log_id log,
                                         segment_id segment) {
  const encoded_index index{believable_entries(index_file, log, segment)};
  const auto vouched = ends_hold(data, log, segment, index, true);
  if (!vouched)
    return tl::unexpected(vouched.error());
  if (!*vouched) {
    auto found = walk_all(data, log, segment, true);
    if (found)
      found->damaged = found->entries.size() < index.size();
    return found;
  }
  recovered_segment found;
  take_all(found, index);
  batch_walk walk{data, log, segment, true};
  walk.skip_to_after(index.size() - 1, index.entry(index.size() - 1));
  if (const auto walked = walk_on(walk, found); !walked)
    return tl::unexpected(walked.error());
  conclude(found, segment);
  return found;
}

namespace {

// A closed segment's index as far as its own bytes show: the right segment's, entries without rest
// that follow from one another.
bool may_be_index_of(byte_view index_file, log_id log, segment_id segment) noexcept {
  const auto header = decode_index_header(index_file);
  if (!header || header->log != log || header->first_number != segment.first)
    return false;
  const auto bytes = index_file.size() - index_header_bytes;
  const auto entries = bytes / index_entry_bytes;
  return entries > 0 && bytes % index_entry_bytes == 0 &&
         (entries > thorough_entries || coherent_entries(index_file, *header) == entries);
}

} // namespace

result<recovered_segment> recover_closed(file& data, byte_view index_file, log_id log,
                                         segment_id segment, std::uint64_t last_ns) {
  const auto size = data.size();
  if (!size)
    return tl::unexpected(size.error());
  if (may_be_index_of(index_file, log, segment)) {
    const encoded_index index{index_file.subspan(index_header_bytes)};
    const auto last = index.entry(index.size() - 1);
    if (last.file_end() == *size && last.append_time_ns == last_ns) {
      const auto held = ends_hold(data, log, segment, index, false);
      if (!held)
        return tl::unexpected(held.error());
      if (*held) {
        recovered_segment found;
        found.entries = {index.entry(0), last};
        conclude(found, segment);
        found.facts.batches = index.size();
        found.sound_entries = index.size();
        return found;
      }
    }
  }
  auto found = walk_all(data, log, segment, false);
  if (found)
    found->damaged = found->facts.file_bytes != *size || found->facts.last_ns != last_ns;
  return found;
}

result<tail_report> set_tail_aside(disk& door, file& data, std::uint64_t end, tail_owner owner,
                                   const std::string& quarantine, const std::string& name,
                                   const options& chosen) {
  const auto data_end = end_of_tail(data, end, owner);
  if (!data_end)
    return tl::unexpected(data_end.error());
  tail_report report;
  report.bytes = *data_end - end;
  if (report.bytes == 0)
    return report;
  if (const auto made = door.make_directories(quarantine); !made)
    return tl::unexpected(no_room(made.error()) ? error{errc::exhausted, made.error().system}
                                                : made.error());
  const auto use = use_of(door, quarantine);
  if (!use)
    return tl::unexpected(use.error());
  if (use->files >= chosen.quarantine_files || use->bytes + report.bytes > chosen.quarantine_bytes)
    return fail(errc::exhausted);
  auto copied = copy_aside(door, data, end, *data_end, quarantine, name);
  if (!copied && no_room(copied.error()))
    return fail(errc::exhausted, copied.error().system);
  if (!copied)
    return tl::unexpected(copied.error());
  report.quarantine_path = std::move(*copied);
  if (const auto cut = data.truncate(end); !cut)
    return tl::unexpected(cut.error());
  return report;
}

result<> rewrite(file& data, std::uint64_t begin, std::uint64_t end) {
  return copy_range(data, begin, end, data, 0);
}

result<std::string> set_file_aside(disk& door, const std::string& path,
                                   const std::string& quarantine, const std::string& name,
                                   const options& chosen) {
  if (const auto made = door.make_directories(quarantine); !made)
    return tl::unexpected(made.error());
  const auto use = use_of(door, quarantine);
  if (!use)
    return tl::unexpected(use.error());
  if (use->files >= chosen.quarantine_files)
    return fail(errc::exhausted);
  auto target = free_path(door, quarantine, name);
  auto done = door.rename(path, target);
  if (done)
    done = door.sync_directory(quarantine);
  if (!done)
    return tl::unexpected(done.error());
  return target;
}

} // namespace lance::storage
