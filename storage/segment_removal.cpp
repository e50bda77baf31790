#include "storage/segment_removal.hpp"

#include <cerrno>

#include "runtime/plant.hpp"
#include "storage/layout.hpp"

namespace lance::storage {

using runtime::plant;
using runtime::planted;

result<> segment_removal::run(disk& door) {
  for (std::size_t at = 0; at < segments.size(); ++at) {
    const auto& each = segments[at];
    // Only before the last: on a full disk, what went before makes room for it.
    if (numbers && each == segments.back() && !planted(plant::numbers_not_kept))
      if (const auto kept = write_log_start(door, directory, *numbers); !kept)
        return kept;
    const auto& facts = each->facts();
    if (const auto gone = let_go(door, at); !gone)
      return gone;
    (void)door.remove(layout::join(directory, layout::index_name(facts.id)));
    ++removed;
    removed_bytes += facts.file_bytes;
  }
  const auto synced = planted(plant::drop_not_synced) ? result<>{} : door.sync_directory(directory);
  durable_ = synced.has_value();
  return synced;
}

result<> segment_removal::let_go(disk& door, std::size_t at) {
  const auto& facts = segments[at]->facts();
  const auto closed = layout::join(directory, layout::closed_name(facts.id, facts.last_ns));
  // A second name is a backup's: its bytes must stay.
  if (fates[at] == segment_fate::keep && door.name_count(closed).value_or(0) == 1) {
    const auto kept = door.rename(closed, layout::join(directory, layout::recycled_name(facts.id)));
    if (kept)
      fates[at] = segment_fate::kept;
    return kept;
  }
  if (const auto gone = door.remove(closed); !gone && gone.error().system != ENOENT)
    return gone;
  return {};
}

// Before its new name is durable a kept file must stay what it was: a crash may bring it back.
void segment_removal::settle(spare_shelf& shelf) {
  for (std::size_t at = 0; at < segments.size(); ++at) {
    const auto& facts = segments[at]->facts();
    if (fates[at] == segment_fate::kept && durable_)
      shelf.put({layout::recycled_name(facts.id), facts.file_bytes});
    else if (fates[at] != segment_fate::remove)
      shelf.forgo(facts.file_bytes);
  }
  fates.clear();
}

} // namespace lance::storage
