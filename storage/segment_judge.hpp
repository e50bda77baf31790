// Looks through a closed segment from its first byte to its last, in pieces of any size: every
// header against its place in the chain, every payload against its checksum, every byte of the
// index against the batch it speaks of. Where a header is damaged the index shows the way to the
// next batch, so that one rotten batch hides no other.
//
// Pure: bytes in, a verdict out. One thread; bounded memory.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "storage/damage.hpp"
#include "storage/index.hpp"
#include "storage/segment.hpp"

namespace lance::storage {

/// A batch that was passed.
struct judged_batch {
  batch_number number;
  index_entry entry; ///< from the batch's header when that holds, else from the index
  std::uint16_t flags = 0;
  bool whole = false;
  bool header_holds = false;
};

struct segment_verdict {
  std::uint64_t batches = 0; ///< passed, whole or not
  std::vector<damaged_batch> damaged;
  std::uint64_t damaged_count = 0; ///< more than the list holds when that is full
  /// The index is not, byte for byte, what the batches say.
  bool index_wrong = false;
  /// From the last damaged batch on nothing could be told apart: neither header nor index hold.
  bool lost_way = false;

  [[nodiscard]] bool whole() const noexcept { return damaged_count == 0; }
};

class segment_judge {
 public:
  using listener = std::function<void(const judged_batch&)>;

  /// `index_file` may be empty and outlives the judge. `each` is told of every batch.
  segment_judge(log_id log, const segment_facts& facts, byte_view index_file, listener each = {});

  /// The bytes of the file that follow those fed before.
  void feed(byte_view bytes);
  /// The file has ended.
  void finish();
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] const segment_verdict& verdict() const noexcept { return verdict_; }

 private:
  void take_header();
  void take_unreadable_header();
  void end_batch();
  void note(const index_entry& entry);
  void lose_way();
  [[nodiscard]] bool holds(const batch_header& header) const noexcept;
  [[nodiscard]] bool leads_on(const index_entry& entry) const noexcept;
  void compare_index_header(const index_entry& first);
  void compare_index_entry(const index_entry& entry);
  [[nodiscard]] batch_number number() const noexcept {
    return batch_number{facts_.id.first.value + verdict_.batches};
  }

  log_id log_;
  segment_facts facts_;
  byte_view index_file_;
  encoded_index index_;
  listener each_;
  segment_verdict verdict_;

  std::uint64_t position_ = 0;
  std::array<std::byte, batch_header_bytes> head_{};
  std::size_t head_size_ = 0;
  bool in_payload_ = false;
  judged_batch current_;
  std::uint64_t payload_left_ = 0;
  wire::checksum_kind kind_{};
  std::uint32_t sum_ = 0;
  std::uint32_t expected_sum_ = 0;
  std::uint32_t previous_crc_;
  index_entry previous_; // of the batch before; meaningless for the first
};

} // namespace lance::storage
