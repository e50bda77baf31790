// One file's bytes as the kernel shows them and as the device keeps them, and what a loss of power
// makes of the difference. Blocks are shared where they are equal, so that a file costs what was
// written to it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/bytes.hpp"
#include "storage/options.hpp"
#include "tests/sim/faults.hpp"
#include "tests/sim/random_stream.hpp"

namespace lance::sim {

inline constexpr std::uint64_t sector_bytes = 512;
inline constexpr std::uint64_t block_sectors = storage::block_bytes / sector_bytes;

using block = std::array<std::byte, storage::block_bytes>;
using block_ref = std::shared_ptr<const block>; // null: zeros
using block_map = std::map<std::uint64_t, block_ref>;

class sim_inode {
 public:
  std::string name; ///< as of now

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t allocated() const noexcept { return allocated_; }
  [[nodiscard]] std::uint64_t used() const noexcept;

  void write(std::uint64_t position, byte_view data);
  [[nodiscard]] std::size_t read(std::uint64_t position, byte_span into) const;
  void resize(std::uint64_t bytes);
  /// Space for so many bytes; the size grows to it.
  void allocate(std::uint64_t bytes);
  /// Back to an earlier allocated(), as if allocate() had not been.
  void unallocate(std::uint64_t bytes) noexcept { allocated_ = bytes; }
  [[nodiscard]] std::uint64_t next_data(std::uint64_t position) const;
  void sync();
  /// A sync that fails: of what was to be synced some sectors are lost, for good: the kernel takes
  /// them for clean, so no later sync writes them. They may or may not read as they did.
  void fail_sync(random_stream& random);
  /// The same without luck: all of it is lost, and reads as it did.
  void fail_sync();
  /// What the kernel kept in memory goes; reads show what the device has.
  void forget_cached();
  [[nodiscard]] bool synced() const noexcept { return dirty_.empty() && size_ == durable_size_; }
  /// One bit turns over, on the device and in what is read.
  void flip(std::uint64_t position, unsigned bit);
  void crash(random_stream& random, fault_counts& counts);

 private:
  using sector_set = std::uint8_t; // of one block
  struct version {
    sector_set sectors = 0;
    block_ref content;
  };
  struct dirty_block {
    sector_set sectors = 0;
    std::vector<version> versions; // oldest first; the last is the newest
  };

  void put(std::uint64_t number, block_ref content, sector_set sectors);
  void keep_sector(std::uint64_t number, std::size_t sector, const block_ref& from);
  [[nodiscard]] static block_ref at(const block_map& blocks, std::uint64_t number);

  block_map now_;
  block_map durable_;
  std::map<std::uint64_t, dirty_block> dirty_;
  std::map<std::uint64_t, sector_set> forgotten_; // sectors where now_ and durable_ differ unknown
                                                  // to the kernel
  std::uint64_t size_ = 0;
  std::uint64_t durable_size_ = 0;
  std::uint64_t allocated_ = 0;
};

} // namespace lance::sim
