#include "storage/data_dir.hpp"

#include <algorithm>
#include <cerrno>

#include "storage/ballast.hpp"
#include "storage/flat_object.hpp"
#include "storage/layout.hpp"

namespace lance::storage {

namespace {

constexpr std::uint64_t node_file_limit = 64 * KiB; // ours has some 200 bytes

bool plain(std::string_view text) noexcept {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
  });
}

result<> remove_tree(disk& door, const std::string& path) {
  const auto names = door.list(path);
  if (!names)
    return names.error().system == ENOTDIR ? door.remove(path)
                                           : result<>{tl::unexpected(names.error())};
  for (const auto& name : *names)
    if (const auto removed = remove_tree(door, layout::join(path, name)); !removed)
      return removed;
  return door.remove_directory(path);
}

} // namespace

std::string to_json(const node_identity& identity) {
  return "{\n  \"format_version\": " + std::to_string(data_format_version) +
         ",\n  \"node_id\": " + std::to_string(identity.id.value) + ",\n  \"cluster_uuid\": \"" +
         identity.cluster_uuid + "\",\n  \"node_uuid\": \"" + identity.node_uuid +
         "\",\n  \"incarnation\": " + std::to_string(identity.incarnation) + "\n}\n";
}

result<node_identity> identity_from_json(std::string_view text) {
  node_identity identity;
  std::uint64_t version = 0;
  unsigned members = 0;
  const auto take = [&](std::string_view key, std::string_view value, bool is_text) {
    ++members;
    if (is_text && key == "cluster_uuid")
      identity.cluster_uuid = value;
    else if (is_text && key == "node_uuid")
      identity.node_uuid = value;
    else if (!is_text && key == "format_version")
      return flat_object::to_number(value, version);
    else if (!is_text && key == "node_id")
      return flat_object::to_number(value, identity.id.value);
    else if (!is_text && key == "incarnation")
      return flat_object::to_number(value, identity.incarnation);
    return true; // a later version may say more; its version number decides
  };
  if (!flat_object{text}.read(take) || version == 0)
    return fail(errc::bad_format);
  if (version != data_format_version)
    return fail(errc::unsupported, static_cast<int>(std::min<std::uint64_t>(version, 0x7fffffff)));
  if (members != 5 || identity.node_uuid.empty())
    return fail(errc::bad_format);
  return identity;
}

result<> write_file_atomically(disk& door, const std::string& path, byte_view content) {
  const auto temporary = path + ".tmp";
  auto target = door.open(temporary, {.create = true});
  if (!target)
    return tl::unexpected(target.error());
  auto done = (*target)->truncate(0);
  if (done)
    done = (*target)->write_now(0, content);
  if (done)
    done = (*target)->sync();
  target->reset();
  if (done)
    done = door.rename(temporary, path);
  return done ? door.sync_directory(layout::parent(path)) : done;
}

result<std::string> read_small_file(disk& door, const std::string& path,
                                    std::uint64_t limit_bytes) {
  auto source = door.open(path, {.read_only = true});
  if (!source)
    return tl::unexpected(source.error());
  const auto size = (*source)->size();
  if (!size)
    return tl::unexpected(size.error());
  if (*size > limit_bytes)
    return fail(errc::too_large);
  std::string text(*size, '\0');
  const auto got = (*source)->read_now(0, std::as_writable_bytes(std::span{text}));
  if (!got)
    return tl::unexpected(got.error());
  text.resize(*got);
  return text;
}

result<std::unique_ptr<data_dir>> data_dir::open(disk& door, const std::string& path,
                                                 const node_identity& fresh,
                                                 std::string& explanation) {
  const auto give_up = [&](const error& why, std::string sentence) {
    explanation = std::move(sentence);
    return tl::unexpected(why);
  };
  if (const auto made = door.make_directories(path); !made)
    return give_up(made.error(), "cannot make the data directory " + path);
  auto lock = door.lock(layout::join(path, layout::lock_name));
  if (!lock && lock.error().system == EWOULDBLOCK)
    return give_up({errc::closed, EWOULDBLOCK}, "another process uses the data directory " + path +
                                                    "; stop it or choose another data_dir");
  if (!lock)
    return give_up(lock.error(), "cannot lock " + layout::join(path, layout::lock_name));

  std::unique_ptr<data_dir> opened{new data_dir(door, path)};
  opened->lock_ = std::move(*lock);
  opened->identity_ = fresh;
  opened->identity_.incarnation = 0;
  const auto node_path = layout::join(path, layout::node_name);
  if (door.exists(node_path)) {
    const auto text = read_small_file(door, node_path, node_file_limit);
    if (!text)
      return give_up(text.error(), "cannot read " + node_path);
    auto known = identity_from_json(*text);
    if (!known && known.error().code == errc::unsupported)
      return give_up(known.error(),
                     node_path + " has format version " + std::to_string(known.error().system) +
                         "; this program knows version " + std::to_string(data_format_version) +
                         ". Nothing was changed");
    if (!known)
      return give_up(known.error(), node_path + " is damaged. Nothing was changed");
    if (known->id != fresh.id)
      return give_up({errc::invalid_request, 0},
                     "the data directory " + path + " belongs to node " +
                         std::to_string(known->id.value) + ", not to node " +
                         std::to_string(fresh.id.value));
    opened->identity_ = std::move(*known);
  }
  ++opened->identity_.incarnation;
  auto stored = opened->store();
  // The one thing a start must write. The reserves are there for that.
  for (const auto release : {&remove_ballast, &remove_spares})
    if (!stored && no_space(stored.error()) && release(door, path))
      stored = opened->store();
  if (!stored && no_space(stored.error()))
    return give_up(stored.error(), "cannot write " + node_path +
                                       ": the disk is full, and there is no reserve left to "
                                       "release");
  if (!stored)
    return give_up(stored.error(), "cannot write " + node_path);
  if (const auto emptied = opened->empty_trash(); !emptied)
    return give_up(emptied.error(), "cannot empty " + layout::join(path, layout::trash_name));
  return opened;
}

std::string data_dir::quarantine() const {
  return layout::join(path_, layout::quarantine_name);
}

std::string data_dir::log_directory(std::string_view topic, std::uint32_t partition) const {
  return layout::log_directory(path_, topic, partition);
}

result<> data_dir::set_cluster_uuid(const std::string& uuid) {
  if (!plain(uuid))
    return fail(errc::invalid_request);
  identity_.cluster_uuid = uuid;
  return store();
}

result<> data_dir::store() {
  const auto text = to_json(identity_);
  return write_file_atomically(door_, layout::join(path_, layout::node_name), as_bytes(text));
}

result<> data_dir::remove_directory(const std::string& directory) {
  const auto trash = layout::join(path_, layout::trash_name);
  if (const auto made = door_.make_directories(trash); !made)
    return made;
  std::string aside;
  std::uint64_t number = 0;
  do
    aside = layout::join(trash, std::to_string(number++));
  while (door_.exists(aside));
  auto done = door_.rename(directory, aside);
  if (done)
    done = door_.sync_directory(trash);
  if (done)
    done = door_.sync_directory(layout::parent(directory));
  return done ? remove_tree(door_, aside) : done;
}

result<std::vector<std::string>> data_dir::set_aside_unknown(std::span<const std::string> known) {
  std::vector<std::string> moved;
  const auto segments = layout::join(path_, layout::segments_name);
  if (!door_.exists(segments))
    return moved;
  const auto names = door_.list(segments);
  if (!names)
    return tl::unexpected(names.error());
  for (const auto& name : *names) {
    if (std::find(known.begin(), known.end(), name) != known.end())
      continue;
    const auto from = layout::join(segments, name);
    const auto content = door_.list(from);
    if (!content || content->empty())
      continue; // a file of somebody's, or nothing
    if (const auto made = door_.make_directories(quarantine()); !made)
      return tl::unexpected(made.error());
    std::string to;
    std::uint64_t number = 0;
    do
      to = layout::join(quarantine(), "topic-" + name + "-" + std::to_string(number++));
    while (door_.exists(to));
    if (const auto done = door_.rename(from, to); !done)
      return tl::unexpected(done.error());
    moved.push_back(std::move(to));
  }
  if (!moved.empty()) {
    if (const auto synced = door_.sync_directory(quarantine()); !synced)
      return tl::unexpected(synced.error());
    if (const auto synced = door_.sync_directory(segments); !synced)
      return tl::unexpected(synced.error());
  }
  return moved;
}

result<> data_dir::empty_trash() {
  const auto trash = layout::join(path_, layout::trash_name);
  if (!door_.exists(trash))
    return {};
  const auto names = door_.list(trash);
  if (!names)
    return tl::unexpected(names.error());
  for (const auto& name : *names)
    if (const auto removed = remove_tree(door_, layout::join(trash, name)); !removed)
      return removed;
  return {};
}

} // namespace lance::storage
