#include "storage/segment_removal.hpp"

#include <cerrno>

#include "runtime/plant.hpp"
#include "storage/layout.hpp"

namespace lance::storage {

result<> segment_removal::run(disk& door) {
  for (const auto& each : segments) {
    // Only before the last: on a full disk, what went before makes room for it.
    if (numbers && each == segments.back())
      if (const auto kept = write_log_start(door, directory, *numbers); !kept)
        return kept;
    const auto& facts = each->facts();
    const auto closed = layout::join(directory, layout::closed_name(facts.id, facts.last_ns));
    if (const auto gone = door.remove(closed); !gone && gone.error().system != ENOENT)
      return gone;
    (void)door.remove(layout::join(directory, layout::index_name(facts.id)));
    ++removed;
    removed_bytes += facts.file_bytes;
  }
  if (runtime::planted(runtime::plant::drop_not_synced))
    return {};
  return door.sync_directory(directory);
}

} // namespace lance::storage
