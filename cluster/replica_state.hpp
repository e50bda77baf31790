// What a node knows of its copy of a log besides the batches: where it begins, and the terms and
// memberships in it. A raft core starts with it. It follows from the batches, but for what stands
// before the first of them; so a small file beside the segments, `replica`, keeps it as it was at
// some end, and recovery adds the batches behind. Without the file a log that begins at its first
// batch is read as a whole; one that does not cannot take part until it is given a new start.
//
// Layout in storage/README.md. Pure; one owner.
#pragma once

#include <optional>
#include <vector>

#include "cluster/raft.hpp"
#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::cluster {

struct replica_state {
  log_id log;
  batch_number start{1};       ///< batches below are gone, or about to
  term base_term;              ///< of the batch before it, 0 for none
  membership_at first_members; ///< that held there
  batch_number end{1};         ///< runs and memberships are those of the batches [start, end)
  std::vector<term_run> runs;
  std::vector<membership_at> memberships;

  friend bool operator==(const replica_state&, const replica_state&) = default;

  /// Of a log that is empty and begins at `start`.
  [[nodiscard]] static replica_state at(log_id log, batch_number start, term base_term,
                                        membership_at held);
  [[nodiscard]] term last_term() const noexcept {
    return runs.empty() ? base_term : runs.back().in_term;
  }

  /// The next batch: number and term of its header, and what it carries if it is a control batch.
  /// Errors, with nothing changed: corrupt (a number left out, a term that goes back).
  [[nodiscard]] result<> add(batch_number number, term in_term,
                             const std::optional<control_batch>& control = {});
  /// Batches from `to` on are gone; start <= to.
  void truncate(batch_number to);

  /// `promised` is the log's row of votes.log, none when it has none; `sound` is false when that
  /// file is damaged or the log takes no appends. The member is not fit then, nor when its log has
  /// batches of a term that it never entered: votes.log is missing then, or an older one, and a
  /// vote of that term may be forgotten.
  [[nodiscard]] raft_start begin(node_id self, const std::optional<vote_record>& promised,
                                 bool sound) const;
};

/// Of a member that runs. `start` <= end of its log.
[[nodiscard]] replica_state state_of(log_id log, const replica_log& known, batch_number start);

/// 4 MiB: a term each second for three days of elections, and all memberships there will be.
inline constexpr std::size_t replica_state_bytes_max = 4 * MiB;
/// Errors: too_large (more terms and memberships than the file may hold).
[[nodiscard]] result<std::vector<std::byte>> encode(const replica_state& state);
/// Errors: bad_format (length, magic, version, checksum, order, a membership that is not well
/// formed).
[[nodiscard]] result<replica_state> decode_replica_state(byte_view bytes);

} // namespace lance::cluster
