#include "storage/options.hpp"

namespace lance::storage {

static_assert(min_segment_bytes == 2 * max_payload_bytes);

std::string_view validate(const options& chosen) noexcept {
  if (chosen.payload_bytes_max < block_bytes || chosen.payload_bytes_max > max_payload_bytes)
    return "payload_bytes_max must lie between 4 KiB and 16 MiB";
  if (chosen.segment_bytes < 2 * chosen.payload_bytes_max ||
      chosen.segment_bytes > max_segment_bytes)
    return "segment_bytes must lie between 32 MiB (the largest batch must fit) and 4 GiB - 4 KiB";
  if (chosen.segment_bytes % block_bytes != 0)
    return "segment_bytes must be a multiple of 4096";
  if (chosen.allocate_bytes < 2 * (chosen.payload_bytes_max + block_bytes) ||
      chosen.allocate_bytes % block_bytes != 0)
    return "allocate_bytes must be a multiple of 4096 and at least 32 MiB + 8 KiB";
  if (chosen.preallocate_bytes % block_bytes != 0 || chosen.preallocate_bytes > 1 * GiB)
    return "preallocate_bytes must be a multiple of 4096 and at most 1 GiB";
  if (chosen.recycled_files > 64)
    return "recycled_files must be at most 64";
  if (chosen.group_bytes < block_bytes || chosen.group_bytes > 256 * MiB)
    return "group_bytes must lie between 4 KiB and 256 MiB";
  if (chosen.read_depth == 0 || chosen.read_depth > 1024)
    return "read_depth must lie between 1 and 1024";
  if (chosen.open_segments == 0 || chosen.open_segments > 4096)
    return "open_segments must lie between 1 and 4096";
  if (chosen.index_group_entries == 0 || chosen.index_group_entries > 65536)
    return "index_group_entries must lie between 1 and 65536";
  if (chosen.tick_ns < 1 * ms_in_ns || chosen.tick_ns > 60 * s_in_ns)
    return "tick_ns must lie between 1 ms and 60 s";
  if (chosen.lazy_flush_ns < 1 * ms_in_ns || chosen.lazy_flush_ns > 3600 * s_in_ns)
    return "lazy_flush_ns must lie between 1 ms and 1 h";
  return {};
}

} // namespace lance::storage
