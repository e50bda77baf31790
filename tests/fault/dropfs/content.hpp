// What one file of dropfs holds, twice: as it looks now, and as a power cut would leave it. Blocks
// are shared between the two until one changes, so that a sync moves pointers and copies nothing.
// Not thread-safe: the file system's one lock guards it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <span>

namespace lance::fault {

inline constexpr std::uint64_t block_bytes = 4096;
inline constexpr std::uint64_t sector_bytes = 512; // the unit a device writes whole or not at all

/// What a cut did to unsynced state, summed over files.
struct cut_counts {
  std::uint64_t sectors_lost = 0;
  std::uint64_t sectors_kept = 0;
  std::uint64_t sizes_lost = 0;
  std::uint64_t sizes_kept = 0;
  std::uint64_t names_lost = 0;
  std::uint64_t names_kept = 0;
};

/// Chooses what survives a cut; without a source nothing unsynced does.
using chance = std::mt19937_64*;

class content {
 public:
  [[nodiscard]] std::uint64_t size() const noexcept { return now_.size; }
  [[nodiscard]] std::uint64_t durable_size() const noexcept { return durable_.size; }
  [[nodiscard]] std::uint64_t blocks() const noexcept { return now_.blocks.size(); }

  /// Bytes read; fewer than asked only where the file ends. Holes read as zeros.
  std::size_t read(std::uint64_t position, std::span<std::byte> into) const;
  void write(std::uint64_t position, std::span<const std::byte> bytes);
  /// Bytes cut off are gone, bytes added are zero.
  void resize(std::uint64_t bytes);
  /// The range reads as zeros again; the size stays.
  void clear_range(std::uint64_t position, std::uint64_t bytes);

  /// The first position at or after `position` that is (not) in a hole; size() if there is none.
  [[nodiscard]] std::uint64_t next_data(std::uint64_t position) const;
  [[nodiscard]] std::uint64_t next_hole(std::uint64_t position) const;

  /// Data and size are durable from here on.
  void sync();
  /// A sync that failed the way Linux does it: the device never got the unsynced bytes, and no
  /// later sync brings them there. Only the kernel's memory still has them, for as long as it
  /// likes.
  void lose_sync();
  /// Now is what a power cut leaves: per unsynced sector, and for the size, the old or the new.
  void cut(chance random, cut_counts& counts);

 private:
  using block = std::array<std::byte, block_bytes>;
  struct image {
    std::map<std::uint64_t, std::shared_ptr<block>> blocks; // absent: zeros
    std::uint64_t size = 0;
  };

  /// The block for writing into: alone in its image, and noted as unsynced.
  block& own(std::uint64_t number);
  void drop(std::uint64_t number);

  image now_;
  image durable_;
  std::set<std::uint64_t> unsynced_; // block numbers
  bool size_unsynced_ = false;
};

} // namespace lance::fault
