// What the disk gives with nothing in between: bare loops on one file, one request at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lance::bench {

struct disk_write_plan {
  std::string path;               ///< kept afterwards; a written one is used again
  std::uint64_t file_bytes = 0;   ///< the writes go round in a written one, else end with it
  std::size_t write_bytes = 4096; ///< multiple of 4096
  double seconds = 1;
  bool linked = true; ///< io_uring write linked to fdatasync; else pwrite, then fdatasync
  bool written =
      true; ///< the file's blocks are written beforehand, not only allocated as a log's are
};

/// Aligned O_DIRECT writes of one size, each flushed before the next begins.
[[nodiscard]] nlohmann::json measure_disk_writes(const disk_write_plan& plan);

struct disk_read_plan {
  std::vector<std::string> paths; ///< read one after the other, whole, once
  std::size_t read_bytes = 1024 * 1024;
  bool direct = true; ///< O_DIRECT, else through the page cache
};

[[nodiscard]] nlohmann::json measure_disk_reads(const disk_read_plan& plan);

} // namespace lance::bench
