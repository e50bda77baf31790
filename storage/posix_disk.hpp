// The real disk. Files go through a ring when one is given, else through system calls: on a helper
// thread when one is given, else inline on the caller's.
#pragma once

#include <memory>

#include "runtime/blocking_thread.hpp"
#include "runtime/uring.hpp"
#include "storage/file.hpp"

namespace lance::storage {

struct posix_disk_options {
  /// The lane's ring; the lane turns it. Files of this disk then belong to the lane's thread.
  runtime::uring* ring = nullptr;
  /// Without a ring: runs writes and reads; the lane calls its deliver(). Null: system calls
  /// block the caller.
  runtime::blocking_thread* helper = nullptr;
  bool allow_direct = true; ///< false ignores open_options::direct
};

/// Ring and helper outlive the disk and its files.
[[nodiscard]] std::unique_ptr<disk> make_posix_disk(const posix_disk_options& options);

} // namespace lance::storage
