#include "storage/fence_note.hpp"

#include <cerrno>

#include "storage/data_dir.hpp"
#include "storage/flat_object.hpp"
#include "storage/layout.hpp"

namespace lance::storage {

namespace {

constexpr std::uint64_t note_bytes_max = 4 * KiB; // ours has some 150

// What write_file_atomically() writes before it has its name.
std::string temporary_of(const std::string& path) {
  return path + ".tmp";
}

} // namespace

std::string to_json(const fence_note& note) {
  return "{\"format_version\":" + std::to_string(data_format_version) + ",\"reason\":\"" +
         note.reason + "\",\"errno\":" + std::to_string(note.system) +
         ",\"time_ns\":" + std::to_string(note.time_ns) +
         ",\"durable_next\":" + std::to_string(note.durable_next.value) +
         ",\"durable_end\":" + std::to_string(note.durable_end.value) + "}\n";
}

result<fence_note> fence_note_from_json(std::string_view text) {
  fence_note note;
  unsigned members = 0;
  const auto take = [&](std::string_view key, std::string_view value, bool is_text) {
    ++members;
    if (is_text && key == "reason")
      note.reason = value;
    else if (!is_text && key == "errno")
      return flat_object::to_number(value, note.system);
    else if (!is_text && key == "time_ns")
      return flat_object::to_number(value, note.time_ns);
    else if (!is_text && key == "durable_next")
      return flat_object::to_number(value, note.durable_next.value);
    else if (!is_text && key == "durable_end")
      return flat_object::to_number(value, note.durable_end.value);
    return true;
  };
  if (!flat_object{text}.read(take) || members < 6 || note.reason.empty())
    return fail(errc::bad_format);
  return note;
}

result<> write_fence_note(disk& door, const std::string& directory, const fence_note& note) {
  const auto text = to_json(note);
  return write_file_atomically(door, layout::join(directory, layout::fence_name), as_bytes(text));
}

result<std::optional<fence_note>> find_fence_note(disk& door, const std::string& directory) {
  const auto path = layout::join(directory, layout::fence_name);
  const auto text = read_small_file(door, path, note_bytes_max);
  if (text)
    if (auto note = fence_note_from_json(*text))
      return std::optional{std::move(*note)};
  if (!text && text.error().code == errc::io_failed) {
    if (text.error().system != ENOENT)
      return tl::unexpected{text.error()};
    if (!door.exists(temporary_of(path)))
      return std::nullopt;
  }
  fence_note unreadable;
  unreadable.reason = "unreadable";
  return std::optional{std::move(unreadable)};
}

result<> remove_fence_note(disk& door, const std::string& directory) {
  const auto path = layout::join(directory, layout::fence_name);
  for (const auto& each : {temporary_of(path), path})
    if (door.exists(each))
      if (const auto removed = door.remove(each); !removed)
        return removed;
  return door.sync_directory(directory);
}

} // namespace lance::storage
