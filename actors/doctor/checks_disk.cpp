#include <algorithm>
#include <cmath>
#include <cstring>

#include "actors/doctor/checks.hpp"
#include "storage/watermark.hpp"

namespace lance::actors::doctor {

namespace {

std::string us(std::uint64_t ns) {
  return std::to_string(ns / us_in_ns) + " us";
}

std::string percent(double share) {
  return std::to_string(static_cast<int>(std::lround(share * 100))) + " %";
}

bool in_memory(const std::string& file_system) {
  return file_system == "tmpfs" || file_system == "ramfs";
}

bool far_away(const std::string& file_system) {
  return file_system == "nfs" || file_system == "cifs" || file_system == "fuse";
}

} // namespace

finding check_data_directory(const facts& known) {
  const auto& disk = known.disk;
  const auto& path = known.wanted.values.node.data_dir;
  finding found{"data_directory", status::ok, path,
                "What is acknowledged lies here, and nowhere else.",
                "install -d -o lance -g lance -m 750 " + path};
  if (disk.error != 0) {
    found.is = status::fail;
    found.what += disk.looked_at == path ? "" : " is not there yet, and " + disk.looked_at;
    found.what += std::string{" cannot be written: "} + std::strerror(disk.error);
    return found;
  }
  if (disk.looked_at != path)
    found.what += " is not there yet and can be made";
  if (!disk.file_system.empty())
    found.what += " (" + disk.file_system + ')';
  if (disk.broker_runs)
    found.what += "; a broker runs on it";
  if (in_memory(disk.file_system)) {
    found.is = status::warn;
    found.what += ": it lies in memory, nothing survives a restart of the machine";
    found.fix = "set node.data_dir to a directory on a disk";
  } else if (far_away(disk.file_system)) {
    found.is = status::warn;
    found.what += ": a file system over the network acknowledges what it may lose";
    found.fix = "set node.data_dir to a directory on a disk of this machine";
  }
  return found;
}

finding check_direct_io(const facts& known) {
  finding found{"direct_io", status::ok, "O_DIRECT works",
                "Writes that go past the page cache cost half the memory traffic and flush "
                "evenly.",
                "mkfs.ext4 or mkfs.xfs a disk for node.data_dir"};
  if (!known.wanted.values.io.o_direct) {
    found.is = status::skip;
    found.what = "io.o_direct = false leaves it unused";
  } else if (!known.disk.direct) {
    found.is = status::skip;
    found.what = "not tried: nothing can be written there";
  } else if (!*known.disk.direct) {
    found.is = status::warn;
    found.what = "the file system refuses O_DIRECT: writes go through the page cache";
  }
  return found;
}

finding check_flush(const facts& known) {
  constexpr std::uint64_t slow_ns = 5 * ms_in_ns; // 200 acknowledgements a second and less
  constexpr std::uint64_t stall_ns = 100 * ms_in_ns;
  const auto& disk = known.disk;
  finding found{"flush", status::ok, "",
                "An acknowledgement waits for the disk's flush: no setting makes it faster than "
                "that.",
                "cat /sys/block/*/queue/write_cache  # a disk with power-loss protection flushes "
                "in microseconds"};
  if (disk.flushes == 0) {
    found.is = status::skip;
    found.what = "not measured: nothing can be written there";
    return found;
  }
  found.what = "4 KiB written and flushed in " + us(disk.flush_ns_p50) + " (median of " +
               std::to_string(disk.flushes) + "), at worst " + us(disk.flush_ns_max);
  if (known.wanted.values.durability.level != durability::fsync)
    found.what += "; durability.level does not wait for it";
  else if (disk.flush_ns_p50 >= slow_ns || disk.flush_ns_max >= stall_ns)
    found.is = status::warn;
  return found;
}

finding check_disk_space(const facts& known) {
  const auto& disk = known.disk;
  const auto& marks = known.wanted.values.disk;
  finding found{"disk_space", status::ok, "",
                "Beyond disk.stop_writes producers are refused; a disk without inodes takes no "
                "new segment.",
                "df -h " + disk.looked_at + "  # make room, or lower retention.max_bytes"};
  if (disk.total_bytes == 0) {
    found.is = status::skip;
    found.what = "not known";
    return found;
  }
  const auto used =
      1.0 - static_cast<double>(disk.free_bytes) / static_cast<double>(disk.total_bytes);
  found.what = percent(used) + " used, " + std::to_string(disk.free_bytes / MiB) + " MiB free";
  const auto least = std::max(marks.ballast_bytes, storage::watermark::least_free_bytes);
  if (used >= marks.stop_writes) {
    found.is = status::fail;
    found.what += ": producers are refused from " + percent(marks.stop_writes) + " on";
  } else if (disk.total_inodes != 0 && disk.free_inodes == 0) {
    found.is = status::fail;
    found.what += ", but no inode";
    found.fix = "df -i " + disk.looked_at + "  # remove small files";
  } else if (used >= marks.warn || disk.free_bytes < least) {
    found.is = status::warn;
    found.what += disk.free_bytes < least ? ": not enough for disk.ballast_bytes"
                                          : ": beyond disk.warn, " + percent(marks.warn);
  } else if (disk.total_inodes != 0 && disk.free_inodes < disk.total_inodes / 100) {
    found.is = status::warn;
    found.what += "; " + std::to_string(disk.free_inodes) + " inodes are left";
    found.fix = "df -i " + disk.looked_at + "  # remove small files";
  }
  return found;
}

} // namespace lance::actors::doctor
