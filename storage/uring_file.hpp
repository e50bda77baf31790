// A file through the lane's ring: registered buffers, writes side by side, and the flush linked to
// the write where there is just one.
#pragma once

#include "runtime/uring.hpp"
#include "storage/posix_file.hpp"

namespace lance::storage {

/// write() and read() on the ring's thread; completions come from the ring's turn().
class uring_file final : public posix_file {
 public:
  uring_file(int descriptor, bool direct, runtime::uring& ring) noexcept
      : posix_file(descriptor, direct, nullptr), ring_(ring) {}

  void write(write_request& request) override;
  void read(read_request& request) override;

 private:
  runtime::uring& ring_;
};

} // namespace lance::storage
