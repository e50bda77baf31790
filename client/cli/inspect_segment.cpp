#include "client/cli/inspect_segment.hpp"

#include <algorithm>
#include <array>
#include <system_error>

#include "storage/batch_walk.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/recycled.hpp"

namespace lance::client::cli {

namespace {

namespace layout = storage::layout;

tl::unexpected<failure> disk_failure(const std::string& path, const error& what) {
  const auto text = what.system != 0 ? std::generic_category().message(what.system)
                                     : std::string{describe(what.code)};
  return tl::unexpected{failure{errc::io_failed, false, {}, {}, path + ": " + text}};
}

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1); // the whole when there is no slash
}

// Who the segment says it is: its first header, and its name where that is one.
bool introduce(examined_segment& found, const storage::batch_header& first) {
  found.log = first.log;
  found.segment = {first.number, first.append_time_ns};
  const auto name = layout::parse(name_of(found.path));
  found.closed = name.kind == layout::file_kind::closed_segment;
  return (name.kind != layout::file_kind::active_segment && !found.closed) ||
         name.segment == found.segment;
}

void damage(examined_segment& found, std::string problem) {
  found.state = segment_state::damaged;
  found.problem = std::move(problem);
}

std::string at_batch(const examined_segment& found) {
  return "batch " + std::to_string(found.end_number().value) + " at byte " +
         std::to_string(found.batch_bytes);
}

result<void> walk(examined_segment& found, storage::file& data) {
  storage::batch_walk batches{data, found.log, found.segment, true};
  while (true) {
    const auto next = batches.next();
    if (!next)
      return tl::unexpected{next.error()};
    if (!*next)
      break;
    found.batches.push_back(**next);
  }
  found.batch_bytes = batches.position();
  return {};
}

// How the index stands to the batches, and how many batches it vouches for.
std::size_t compare_index(examined_segment& found, storage::disk& door) {
  const auto file = storage::load_index(door, found.index_path());
  if (!file) {
    found.index = index_state::missing;
    return 0;
  }
  const storage::encoded_index told{
      storage::believable_entries(file->bytes(), found.log, found.segment)};
  const auto common = std::min(told.size(), found.batches.size());
  for (std::size_t n = 0; n < common; ++n)
    if (told.entry(n) != storage::entry_of(found.batches[n]))
      found.index = index_state::wrong;
  if (told.size() == 0)
    found.index = index_state::wrong;
  else if (found.index == index_state::ok && told.size() < found.batches.size())
    found.index = index_state::behind;
  return told.size();
}

// What lies behind the last whole batch: zeros, the rest of a torn write, or damage.
result<void> judge_end(examined_segment& found, storage::file& data, std::size_t vouched) {
  if (vouched > found.batches.size()) {
    damage(found, at_batch(found) + " does not verify, and was durable once");
    return {};
  }
  if (found.closed) {
    const auto last_ns = layout::parse(name_of(found.path)).last_ns;
    if (found.batch_bytes != found.file_bytes)
      damage(found, at_batch(found) + " does not verify");
    else if (found.batches.back().header.append_time_ns != last_ns)
      damage(found, "the last batch is not the one its name tells");
    return {};
  }
  const auto rest = data.next_data(found.batch_bytes);
  if (!rest)
    return tl::unexpected{rest.error()};
  const auto mark = storage::find_mark(data, found.log);
  if (!mark)
    return tl::unexpected{mark.error()};
  if (*mark && **mark >= found.batch_bytes) { // a recycled file: leftovers are no harm
    const batch_number next{found.segment.first.value + found.batches.size()};
    const auto newer = storage::end_of_newer(data, found.batch_bytes, **mark, found.log, next);
    if (!newer)
      return tl::unexpected{newer.error()};
    if (*newer == found.batch_bytes)
      return {};
  }
  if (*rest < found.file_bytes) {
    found.state = segment_state::torn;
    found.problem = "bytes from " + std::to_string(*rest) + " on are no whole batch";
  }
  return {};
}

result<void> judge(examined_segment& found, storage::disk& door, storage::file& data) {
  std::array<std::byte, storage::batch_header_bytes> head{};
  const auto got = data.read_now(0, head);
  if (!got)
    return tl::unexpected{got.error()};
  const auto first = storage::decode(byte_view{head}.first(*got));
  if (!first) {
    const auto data_at = data.next_data(0);
    if (!data_at)
      return tl::unexpected{data_at.error()};
    if (*data_at >= found.file_bytes)
      found.state = segment_state::empty;
    else
      damage(found, "its first bytes are no batch header");
    return {};
  }
  if (!introduce(found, *first)) {
    damage(found, "its first batch is not the one its name tells");
    return {};
  }
  if (auto walked = walk(found, data); !walked)
    return walked;
  const auto vouched = compare_index(found, door);
  if (found.batches.empty()) {
    damage(found, "its first batch does not verify");
    return {};
  }
  return judge_end(found, data, vouched);
}

} // namespace

std::string_view to_text(segment_state state) noexcept {
  switch (state) {
  case segment_state::ok:
    return "ok";
  case segment_state::empty:
    return "empty";
  case segment_state::torn:
    return "torn";
  default:
    return "damaged";
  }
}

std::string_view to_text(index_state state) noexcept {
  switch (state) {
  case index_state::ok:
    return "ok";
  case index_state::missing:
    return "missing";
  case index_state::behind:
    return "behind";
  default:
    return "wrong";
  }
}

std::string examined_segment::index_path() const {
  return layout::join(layout::parent(path), layout::index_name(segment));
}

std::uint64_t examined_segment::records() const noexcept {
  std::uint64_t count = 0;
  for (const auto& batch : batches)
    count += batch.header.record_count;
  return count;
}

std::vector<storage::index_entry> examined_segment::entries() const {
  std::vector<storage::index_entry> all;
  all.reserve(batches.size());
  for (const auto& batch : batches)
    all.push_back(storage::entry_of(batch));
  return all;
}

outcome<examined_segment> examine(storage::disk& door, const std::string& path) {
  examined_segment found;
  found.path = path;
  const auto data = door.open(path, {.read_only = true});
  if (!data)
    return disk_failure(path, data.error());
  const auto size = (*data)->size();
  if (!size)
    return disk_failure(path, size.error());
  found.file_bytes = *size;
  if (const auto judged = judge(found, door, **data); !judged)
    return disk_failure(path, judged.error());
  return found;
}

} // namespace lance::client::cli
