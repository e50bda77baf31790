#include "storage/examine.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "storage/batch_walk.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/recycled.hpp"

namespace lance::storage {

namespace {

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1); // the whole when there is no slash
}

// Who the segment says it is: its first header, and its name where that is one.
bool introduce(examined_segment& found, const batch_header& first) {
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

result<void> walk(examined_segment& found, file& data) {
  batch_walk batches{data, found.log, found.segment, true};
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
std::size_t compare_index(examined_segment& found, const index_loader& load) {
  const auto file = load(found.index_path());
  if (!file) {
    found.index = index_state::missing;
    return 0;
  }
  found.index = judge_index(file->bytes(), found);
  return believable_entries(file->bytes(), found.log, found.segment).size() / index_entry_bytes;
}

// What lies behind the last whole batch: zeros, the rest of a torn write, or damage.
result<void> judge_end(examined_segment& found, file& data, std::size_t vouched) {
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

result<void> judge(examined_segment& found, file& data, const index_loader& load) {
  std::array<std::byte, batch_header_bytes> head{};
  const auto got = data.read_now(0, head);
  if (!got)
    return tl::unexpected{got.error()};
  const auto first = decode(byte_view{head}.first(*got));
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
  const auto vouched = compare_index(found, load);
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

std::vector<index_entry> examined_segment::entries() const {
  std::vector<index_entry> all;
  all.reserve(batches.size());
  for (const auto& batch : batches)
    all.push_back(entry_of(batch));
  return all;
}

index_state judge_index(byte_view file, const examined_segment& found) {
  if (found.batches.empty() || file.size() < index_header_bytes)
    return index_state::wrong;
  std::array<std::byte, index_header_bytes> head{};
  encode(header_of(found.log, found.segment, entry_of(found.batches.front())), head.data());
  const auto entries = file.subspan(index_header_bytes);
  const auto count = entries.size() / index_entry_bytes;
  // A closed segment's is whole; an active one's may be behind, and end within an entry.
  if (std::memcmp(file.data(), head.data(), head.size()) != 0 || count > found.batches.size() ||
      (found.closed && entries.size() % index_entry_bytes != 0))
    return index_state::wrong;
  for (std::size_t n = 0; n < count; ++n) {
    std::array<std::byte, index_entry_bytes> expected{};
    encode(entry_of(found.batches[n]), expected.data());
    if (std::memcmp(entries.data() + n * index_entry_bytes, expected.data(), expected.size()) != 0)
      return index_state::wrong;
  }
  return count < found.batches.size() ? index_state::behind : index_state::ok;
}

result<examined_segment> examine(const std::string& path, file& data, const index_loader& load) {
  examined_segment found;
  found.path = path;
  const auto size = data.size();
  if (!size)
    return tl::unexpected(size.error());
  found.file_bytes = *size;
  if (const auto judged = judge(found, data, load); !judged)
    return tl::unexpected(judged.error());
  return found;
}

result<examined_segment> examine(disk& door, const std::string& path) {
  const auto data = door.open(path, {.read_only = true});
  if (!data)
    return tl::unexpected(data.error());
  return examine(path, **data, [&](const auto& index) { return load_index(door, index); });
}

} // namespace lance::storage
