// A reserve on the data directory's disk: a file of real blocks that is let go when the disk is
// full after all, so that what must be written still can be.
//
// Owned by whoever watches the disk; one at a time. Blocks.
#pragma once

#include <cstdint>
#include <string>

#include "storage/file.hpp"

namespace lance::storage {

class ballast {
 public:
  /// Takes over what an earlier process left, when it has the wanted size. `bytes` 0: there is to
  /// be none, and one of another size is removed.
  ballast(disk& door, const std::string& data_dir, std::uint64_t bytes);

  /// The whole of it is there.
  [[nodiscard]] bool held() const noexcept { return held_; }
  [[nodiscard]] std::uint64_t held_bytes() const noexcept { return held_ ? bytes_ : 0; }
  /// Errors: io_failed (ENOSPC: nothing is left of the try).
  result<> make();
  result<> release();

 private:
  result<> fill(file& reserve);

  disk& door_;
  std::string directory_;
  std::string path_;
  std::uint64_t bytes_;
  bool held_ = false;
};

// What a data directory can do without, for a start on a full disk, while no log is open. Each says
// whether anything went.
bool remove_ballast(disk& door, const std::string& data_dir);
bool remove_spares(disk& door, const std::string& data_dir); ///< of all logs

} // namespace lance::storage
