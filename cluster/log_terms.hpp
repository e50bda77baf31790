// The terms of a log's batches, without the batches: one entry per term that has any, so that the
// whole log fits in a few words however long it is. (number, term) names a batch: two logs that
// have the same term at a number have the same batches up to there.
//
// Ends are exclusive, as in storage: a log holds the batches [start, end).
//
// Plain data; one owner.
#pragma once

#include <compare>
#include <span>
#include <vector>

#include "runtime/types.hpp"

namespace lance::cluster {

/// From this batch on, up to the next run, batches are of this term.
struct term_run {
  batch_number first;
  term in_term;

  friend bool operator==(const term_run&, const term_run&) = default;
};

/// Where a log ends, or a place to look at: `in_term` is that of the batch before `end`.
struct term_position {
  batch_number end;
  term in_term;

  /// Whether a log that ends here has at least what one that ends at `other` has, as far as votes
  /// are concerned: the later last term, then the longer log.
  [[nodiscard]] bool up_to_date_with(const term_position& other) const noexcept {
    return in_term != other.in_term ? in_term > other.in_term : end >= other.end;
  }
  friend bool operator==(const term_position&, const term_position&) = default;
};

class log_terms {
 public:
  /// An empty log that begins at `start`; `base` is the term of the batch before, 0 for none.
  explicit log_terms(batch_number start = batch_number{1}, term base = term{0}) noexcept
      : start_(start), end_(start), base_(base) {}

  [[nodiscard]] batch_number start() const noexcept { return start_; }
  [[nodiscard]] batch_number end() const noexcept { return end_; }
  [[nodiscard]] term base_term() const noexcept { return base_; }
  [[nodiscard]] term last_term() const noexcept { return before(end_); }
  [[nodiscard]] term_position last() const noexcept { return {end_, last_term()}; }
  /// The term of the batch before `end`; start() <= end <= end().
  [[nodiscard]] term before(batch_number end) const noexcept;
  /// The runs of [from, end), the first one beginning at `from`. Empty for an empty range.
  [[nodiscard]] std::vector<term_run> runs(batch_number from, batch_number end) const;
  /// The first batch of [from, end) whose term is not the one `theirs` gives it, or the end of what
  /// both have. start() <= from <= end().
  [[nodiscard]] batch_number first_difference(batch_number from, std::span<const term_run> theirs,
                                              batch_number end) const noexcept;
  /// The last place not behind `below` whose term is not above `at_most`; start() at the least.
  /// What both sides of a mismatch ask to come nearer by whole terms.
  [[nodiscard]] term_position last_place(batch_number below, term at_most) const noexcept;

  /// Batches [end(), end) of a term not below last_term().
  void append(batch_number end, term in_term);
  void append(std::span<const term_run> runs, batch_number from, batch_number end);
  /// Batches from `end` on go; start() <= end.
  void truncate(batch_number end) noexcept;
  /// Batches below `start` go; start <= end().
  void drop_before(batch_number start) noexcept;

 private:
  batch_number start_;
  batch_number end_;
  term base_;
  std::vector<term_run> runs_; // ascending in both; the first begins at start_
};

} // namespace lance::cluster
