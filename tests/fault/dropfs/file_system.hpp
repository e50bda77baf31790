// dropfs as the kernel sees it: carries FUSE's requests to the tree and the files' content, after
// the rules have had their say. The only file that knows libfuse. All requests share one lock; the
// waiting of slow ones is done outside it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "tests/fault/dropfs/rules.hpp"
#include "tests/fault/dropfs/tree.hpp"

namespace lance::fault {

class file_system {
 public:
  /// capacity: of all files, in bytes.
  file_system(std::string mountpoint, std::uint64_t capacity);
  ~file_system();
  file_system(const file_system&) = delete;
  file_system& operator=(const file_system&) = delete;

  /// Mounts and serves until end(), and anew after each revive(). False when it cannot mount.
  bool serve();
  /// Any thread.
  void end();

  rules& faults() noexcept { return rules_; }

  /// The power goes: what is not durable is gone, and everything fails until revive(). Without a
  /// seed all that was not synced is lost.
  cut_counts cut(std::optional<std::uint64_t> seed);
  /// Mounts anew, so that the kernel forgets what it remembers. False when somebody still uses the
  /// old mount after `seconds`.
  bool revive(unsigned seconds);
  /// Writes what the newest cut left to a directory elsewhere. False when there is none, or it
  /// cannot be written.
  bool export_cut(const std::string& directory);
  std::string report();

  struct kernel_side; ///< the calls of libfuse, which need to see everything

 private:
  friend struct kernel_side;

  std::string mountpoint_;
  rules rules_;
  std::mutex mutex_; // of all below
  tree tree_;
  bool dead_ = false;
  node_ref newest_cut_;
  std::unique_ptr<kernel_side> kernel_;
};

} // namespace lance::fault
