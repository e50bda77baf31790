// Promises to readers: nothing past the durable end or the limit they gave, every byte as it was
// sent, and an error only where the device gives a reason for one.
#pragma once

#include "storage/reader.hpp"
#include "tests/sim/checkers/log_history.hpp"

namespace lance::sim {

class read_checker {
 public:
  explicit read_checker(log_history& history) : history_(history) {}

  /// A read has ended well.
  void judge(const storage::read_operation& asked, const storage::read_outcome& got,
             const storage::log& from);
  /// A read said that what it met does not verify; `flipped`: the device may have lied on the way.
  void judge_corrupt(std::uint64_t offset, bool flipped);

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  void judge_bytes(const storage::read_operation& asked, const storage::read_outcome& got);
  void judge_whole(const storage::read_operation& asked, const storage::read_outcome& got);

  log_history& history_;
  std::uint64_t bytes_ = 0;
};

} // namespace lance::sim
