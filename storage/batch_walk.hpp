// Walks the batches of a segment file from one that is known, judging each: header chain, place in
// the log, payload checksum. Stops at the first that does not hold; never looks into a payload to
// find the next. Blocks; for recovery and tools.
#pragma once

#include <memory>
#include <optional>

#include "storage/file.hpp"
#include "storage/index.hpp"

namespace lance::storage {

class batch_walk {
 public:
  /// From the segment's begin. `data` is a buffered file and outlives the walk.
  batch_walk(file& data, log_id log, segment_id segment, bool verify_payloads);

  /// Goes on behind the `number`-th batch of the segment (from 0), whose entry is `known`.
  void skip_to_after(std::size_t number, const index_entry& known) noexcept;
  /// The next batch, or none when what is there is no batch that belongs here. Errors: io_failed
  /// (that is not an end: nothing is known then).
  result<std::optional<sealed_batch>> next();

  /// The end of the last batch that held.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

 private:
  result<byte_view> window(std::uint64_t position, std::size_t wanted);
  [[nodiscard]] bool follows(const batch_header& header) const noexcept;
  result<bool> payload_holds(const batch_header& header);

  file& data_;
  log_id log_;
  segment_id segment_;
  bool verify_payloads_;
  std::uint64_t position_ = 0;
  std::uint32_t previous_crc_;
  batch_number next_number_;
  index_entry previous_;                // of the batch before; meaningless for the first
  std::unique_ptr<std::byte[]> buffer_; // not cleared: walks of a single batch are frequent
  std::size_t buffer_capacity_;
  std::uint64_t buffer_begin_ = 0;
  std::size_t buffer_size_ = 0;
};

} // namespace lance::storage
