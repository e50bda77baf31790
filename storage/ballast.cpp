#include "storage/ballast.hpp"

#include <algorithm>

#include "storage/layout.hpp"
#include "storage/segment_files.hpp"

namespace lance::storage {

ballast::ballast(disk& door, const std::string& data_dir, std::uint64_t bytes)
    : door_(door), directory_(data_dir), path_(layout::join(data_dir, layout::ballast_name)),
      bytes_(bytes) {
  if (!door_.exists(path_))
    return;
  auto there = door_.open(path_, {.read_only = true});
  const auto size = there ? (*there)->size() : result<std::uint64_t>{0};
  held_ = bytes_ > 0 && size && *size == bytes_;
  if (!held_)
    (void)door_.remove(path_); // of another configuration, or half made
}

result<> ballast::make() {
  if (held_ || bytes_ == 0)
    return {};
  auto reserve = door_.open(path_, {.create = true});
  auto done = reserve ? fill(**reserve) : result<>{tl::unexpected(reserve.error())};
  if (reserve)
    reserve->reset();
  if (done)
    done = door_.sync_directory(directory_);
  if (!done) {
    (void)door_.remove(path_);
    return done;
  }
  held_ = true;
  return {};
}

result<> ballast::fill(file& reserve) {
  const auto before = door_.space(directory_);
  if (const auto allocated = reserve.allocate(bytes_); !allocated)
    return allocated;
  // A file system that cannot allocate gives a size without blocks: then they are written.
  const auto after = door_.space(directory_);
  const bool real = before && after && before->free_bytes >= after->free_bytes + bytes_ / 2;
  for (std::uint64_t at = 0; at < bytes_ && !real; at += zeros().size()) {
    const auto some = std::min<std::uint64_t>(zeros().size(), bytes_ - at);
    if (const auto written = reserve.write_now(at, zeros().first(some)); !written)
      return written;
  }
  return reserve.sync();
}

result<> ballast::release() {
  if (!held_)
    return {};
  if (const auto removed = door_.remove(path_); !removed)
    return removed;
  held_ = false;
  return door_.sync_directory(directory_);
}

bool remove_ballast(disk& door, const std::string& data_dir) {
  return door.remove(layout::join(data_dir, layout::ballast_name)).has_value();
}

bool remove_spares(disk& door, const std::string& data_dir) {
  const auto names_in = [&](const std::string& path) {
    auto names = door.list(path);
    return names ? std::move(*names) : std::vector<std::string>{};
  };
  bool any = false;
  const auto segments = layout::join(data_dir, layout::segments_name);
  for (const auto& topic : names_in(segments))
    for (const auto& partition : names_in(layout::join(segments, topic))) {
      const auto log = layout::join(layout::join(segments, topic), partition);
      any = door.remove(layout::join(log, layout::spare_name)).has_value() || any;
    }
  return any;
}

} // namespace lance::storage
