// Writes the index of the active segment behind its data: only entries of batches that are flushed,
// never synced, one write at a time. A failure only ends the writing: the index is derived, and the
// close writes it whole.
//
// Part of a log, on its thread.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "storage/file.hpp"
#include "storage/index.hpp"

namespace lance::storage {

class index_writer final : private write_request {
 public:
  /// `done` is called after each write.
  explicit index_writer(std::function<void()> done) : done_(std::move(done)) {}

  /// A segment's index file, which holds `entries` entries already. Null: nothing will be written.
  void begin(std::unique_ptr<file> target, log_id log, segment_id segment, std::size_t entries);
  /// Lets the file go. Only when not busy().
  void end();
  /// Starts writing entries below `up_to`, if none is being written and there are any.
  void write(const active_index& entries, std::size_t up_to);

  [[nodiscard]] bool busy() const noexcept { return busy_; }
  /// Leading entries that are in the file.
  [[nodiscard]] std::size_t written_entries() const noexcept { return written_; }

 private:
  void written(result<> outcome) override;

  std::function<void()> done_;
  std::unique_ptr<file> target_;
  log_id log_;
  segment_id segment_;
  std::array<std::byte, index_header_bytes> header_{};
  std::size_t written_ = 0;
  std::size_t writing_to_ = 0;
  bool busy_ = false;
};

} // namespace lance::storage
