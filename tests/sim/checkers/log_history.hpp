// What a log must hold: every batch that was appended, and which of them became durable. Promises:
// numbers, offsets, record numbers, times and keys follow each other and never change; what was
// durable is there, unaltered, after whatever came; nothing is there that nobody sent.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "storage/log.hpp"
#include "tests/sim/checkers/deliveries.hpp"

namespace lance::sim {

struct stored_batch {
  storage::sealed_batch place;
  std::size_t sent = 0;  ///< in deliveries
  bool rotted = false;   ///< the device altered its payload
  bool given_up = false; ///< in deliveries: a fenced log does not show it
};

/// How a process ended, as far as a log can tell.
enum class ending : std::uint8_t { killed, power_cut };

class log_history {
 public:
  log_history(std::uint32_t log, durability level, violations& broken, deliveries& sent)
      : log_(log), level_(level), broken_(broken), sent_(sent) {}

  void appended(const storage::sealed_batch& place, std::size_t sent);
  /// All batches below `next` were said to be durable.
  void durable(batch_number next);
  /// A flush of one of its files failed: what was only written may be gone.
  void flush_failed() noexcept { flush_failed_ = true; }

  void process_ended(ending how) noexcept { power_was_cut_ |= how == ending::power_cut; }

  /// The log was opened after its process had ended. Judges what it found. While it is fenced,
  /// what is missing may come back, and what was not flushed may still go.
  void reopened(storage::log& found);

  [[nodiscard]] std::uint64_t next() const noexcept { return durable_.size() + 1; }
  [[nodiscard]] std::uint64_t end_offset() const noexcept {
    return durable_.empty() ? 0 : durable_.back().place.header.end_offset().value;
  }
  /// 1 <= number < next().
  [[nodiscard]] const stored_batch& batch(std::uint64_t number) const {
    return durable_[number - 1];
  }
  [[nodiscard]] stored_batch& batch(std::uint64_t number) { return durable_[number - 1]; }
  /// The number of the batch that has the byte at `offset`, or next().
  [[nodiscard]] std::uint64_t number_at(std::uint64_t offset) const;
  /// Whether the running process may have lost the batch, which the level allows: reads of it fail.
  [[nodiscard]] bool may_be_lost(std::uint64_t number) const noexcept {
    return number >= safe_next_ &&
           (level_ == durability::memory || (level_ == durability::written && flush_failed_));
  }
  [[nodiscard]] std::uint32_t log() const noexcept { return log_; }
  [[nodiscard]] durability level() const noexcept { return level_; }
  [[nodiscard]] byte_view payload(const stored_batch& one) const {
    return sent_.batch(one.sent).payload;
  }

  void report(std::string_view promise, const std::string& what) const {
    broken_.report(promise, "log " + std::to_string(log_) + ": " + what);
  }

 private:
  void judge_loss(std::uint64_t found_next, bool may_return);
  void judge_entries(storage::log& found);
  void judge_ends(const storage::log& found);

  std::uint32_t log_;
  durability level_;
  violations& broken_;
  deliveries& sent_;
  std::vector<stored_batch> durable_;             // from batch 1 on
  std::map<std::uint64_t, stored_batch> pending_; // appended, not known to be durable
  std::uint64_t safe_next_ = 1;                   // below: durable whatever the level
  bool flush_failed_ = false;                     // since it was last opened,
  bool power_was_cut_ = false;                    // as this
};

} // namespace lance::sim
