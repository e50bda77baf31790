// One bit per batch of a segment: those that have been verified since the segment was opened. Made
// only as far as something was marked: at most one bit per 112 bytes of file, which is 150 KB for a
// segment of 128 MiB in the worst case and 64 bytes in the usual one, as only batches larger than a
// read buffer are marked.
//
// Part of a segment; one thread.
#pragma once

#include <cstdint>
#include <vector>

namespace lance::storage {

class batch_marks {
 public:
  /// `at`: the batch's place in its segment, from 0.
  void set(std::uint64_t at) {
    if (at / 64 >= words_.size())
      words_.resize(at / 64 + 1);
    words_[at / 64] |= std::uint64_t{1} << at % 64;
  }
  [[nodiscard]] bool has(std::uint64_t at) const noexcept {
    return at / 64 < words_.size() && (words_[at / 64] >> at % 64 & 1) != 0;
  }
  void clear() noexcept { words_ = {}; }

 private:
  std::vector<std::uint64_t> words_;
};

} // namespace lance::storage
