// Writes zeros into the active segment ahead of its end, so that a flush finds written blocks
// instead of merely allocated ones. Best effort: a failure only ends it for the segment.
//
// Part of a log, on its thread. The log starts no group over blocks that are being zeroed.
#pragma once

#include <cstdint>
#include <functional>

#include "storage/file.hpp"

namespace lance::storage {

class zero_writer final : private write_request {
 public:
  explicit zero_writer(std::function<void()> done) : done_(std::move(done)) {}

  /// A new active file, written (with anything) up to `written_to`. It outlives the last write.
  void begin(file& target, std::uint64_t written_to) noexcept;
  void end() noexcept { target_ = nullptr; }
  /// Real bytes are written up to here.
  void reached(std::uint64_t position) noexcept;
  /// Starts a piece of zeros below `up_to`, if none is under way and it is not all written.
  void write(std::uint64_t up_to);

  [[nodiscard]] bool busy() const noexcept { return busy_; }
  /// True if a write that ends at `write_end` would meet zeros under way.
  [[nodiscard]] bool blocks(std::uint64_t write_end) const noexcept {
    return busy_ && begin_ < write_end;
  }
  [[nodiscard]] std::uint64_t written_to() const noexcept { return written_to_; }

 private:
  void written(result<> outcome) override;

  std::function<void()> done_;
  file* target_ = nullptr;
  std::uint64_t written_to_ = 0;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  bool busy_ = false;
};

} // namespace lance::storage
