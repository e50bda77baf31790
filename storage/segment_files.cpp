#include "storage/segment_files.hpp"

#include <algorithm>
#include <array>

#include "runtime/plant.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/options.hpp"
#include "storage/recycled.hpp"

namespace lance::storage {

using runtime::plant;
using runtime::planted;

namespace {

alignas(block_bytes) constinit std::array<std::byte, 256 * KiB> zero_bytes_{};

result<> fill_spare(file& spare, std::uint64_t bytes, std::uint64_t zero_count) {
  if (const auto emptied = spare.truncate(0); !emptied)
    return emptied;
  if (const auto allocated = spare.allocate(bytes); !allocated)
    return allocated;
  for (std::uint64_t at = 0; at < zero_count; at += zeros().size()) {
    const auto some = std::min<std::uint64_t>(zeros().size(), zero_count - at);
    if (const auto written = spare.write_now(at, zeros().first(some)); !written)
      return written;
  }
  return spare.sync(); // so that the first group does not pay for the size
}

result<> refit(file& recycled, log_id log, std::uint64_t bytes) {
  if (const auto allocated = recycled.allocate(bytes); !allocated)
    return allocated;
  if (const auto cut = recycled.truncate(bytes); !cut) // segments may have been larger
    return cut;
  if (const auto marked = write_mark(recycled, {log, bytes}); !marked)
    return marked;
  return recycled.sync();
}

} // namespace

byte_view zeros() noexcept {
  return zero_bytes_;
}

result<std::unique_ptr<file>> prepare_spare(disk& door, const std::string& directory,
                                            std::uint64_t bytes, std::uint64_t zero_count,
                                            bool direct) {
  const auto path = layout::join(directory, layout::spare_name);
  auto spare = door.open(path, {.create = true, .direct = direct});
  if (!spare)
    return spare;
  const auto filled = fill_spare(**spare, bytes, std::min(zero_count, bytes));
  if (filled)
    return spare;
  spare->reset();
  (void)door.remove(path);
  return tl::unexpected(filled.error());
}

result<std::unique_ptr<file>> prepare_recycled(disk& door, const std::string& directory,
                                               const std::string& name, log_id log,
                                               std::uint64_t bytes, bool direct) {
  const auto path = layout::join(directory, name);
  auto recycled = door.open(path, {.direct = direct});
  auto done = recycled ? refit(**recycled, log, bytes) : tl::unexpected(recycled.error());
  if (done)
    done = door.rename(path, layout::join(directory, layout::spare_name));
  if (done)
    return recycled;
  if (recycled)
    recycled->reset();
  (void)door.remove(path);
  return tl::unexpected(done.error());
}

result<std::unique_ptr<file>> activate_spare(disk& door, const std::string& directory,
                                             segment_id segment) {
  const auto path = layout::join(directory, layout::active_name(segment));
  if (!door.exists(path))
    if (const auto renamed = door.rename(layout::join(directory, layout::spare_name), path);
        !renamed)
      return tl::unexpected(renamed.error());
  auto index = door.open(layout::join(directory, layout::index_name(segment)), {.create = true});
  if (index && !(*index)->truncate(0))
    index->reset();
  if (planted(plant::directory_not_synced))
    return index ? std::move(*index) : nullptr;
  if (const auto synced = door.sync_directory(directory); !synced)
    return tl::unexpected(synced.error());
  return index ? std::move(*index) : nullptr;
}

result<std::unique_ptr<mapping>> close_segment(disk& door, const std::string& directory, log_id log,
                                               const segment_facts& facts, file& data,
                                               const index_view& index, std::size_t sound_entries) {
  const auto index_path = layout::join(directory, layout::index_name(facts.id));
  auto done = data.truncate(facts.file_bytes - (planted(plant::closed_cut_short) ? 1 : 0));
  if (done && !planted(plant::close_not_synced))
    done = data.sync();
  if (done) // and synced: an index that bears out a closed name is whole, whatever the crash
    done = write_index(door, index_path, log, facts.id, index, sound_entries, true);
  const auto from = layout::join(directory, layout::active_name(facts.id));
  const auto to = layout::join(directory, layout::closed_name(facts.id, facts.last_ns));
  if (done && !door.exists(to))
    done = door.rename(from, to);
  if (done)
    done = door.sync_directory(directory);
  if (!done)
    return tl::unexpected(done.error());
  return door.map(index_path);
}

} // namespace lance::storage
