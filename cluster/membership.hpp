// Who belongs to a group: voters, of whom a majority decides, and learners, who receive everything
// and decide nothing. Changes go one member at a time, so that any two majorities before and after
// a change have a member in common; a joint quorum is not needed then.
//
// Plain data and pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/options.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"

namespace lance::cluster {

struct membership {
  std::vector<node_id> voters;   ///< ascending
  std::vector<node_id> learners; ///< ascending; nobody is both

  [[nodiscard]] bool votes(node_id node) const noexcept;
  [[nodiscard]] bool learns(node_id node) const noexcept;
  [[nodiscard]] bool has(node_id node) const noexcept { return votes(node) || learns(node); }
  /// Of all configured voters, however they are.
  [[nodiscard]] std::size_t majority() const noexcept { return voters.size() / 2 + 1; }

  friend bool operator==(const membership&, const membership&) = default;
};

enum class membership_step : std::uint8_t {
  add_learner, ///< somebody new
  promote,     ///< a learner votes from now on
  demote,      ///< a voter becomes a learner
  remove,      ///< a learner or a voter goes
};

/// `from` after the step. Errors: invalid_request (the step does not fit the node; no voter would
/// be left), throttled (members_max).
[[nodiscard]] result<membership> stepped(const membership& from, membership_step step,
                                         node_id node);

/// Sorted, disjoint, 1 to members_max members, at least one of them a voter.
[[nodiscard]] bool well_formed(const membership& members) noexcept;
/// Their voters differ by one at most.
[[nodiscard]] bool one_step_apart(const membership& a, const membership& b);

/// A membership and the batch it stands in. It holds from when that batch is appended, committed
/// or not.
struct membership_at {
  batch_number at;
  membership members;

  friend bool operator==(const membership_at&, const membership_at&) = default;
};

/// The memberships of one log: the one that held where the log begins, and those in its batches.
class membership_history {
 public:
  explicit membership_history(membership_at first) : known_{std::move(first)} {}

  [[nodiscard]] const membership_at& latest() const noexcept { return known_.back(); }
  /// The one that holds behind all batches below `end`.
  [[nodiscard]] const membership_at& before(batch_number end) const noexcept;
  /// Those in the batches [from, end).
  [[nodiscard]] std::vector<membership_at> within(batch_number from, batch_number end) const;
  void append(membership_at next) { known_.push_back(std::move(next)); }
  /// Batches from `end` on are gone.
  void truncate(batch_number end);
  /// Batches below `start` are gone; what held there still does.
  void drop_before(batch_number start);

 private:
  std::vector<membership_at> known_; // ascending, never empty
};

} // namespace lance::cluster
