// What a node knows of its copy of a log after recovery: the terms and memberships of its batches,
// told one after the other, and what it has promised in elections. Becomes what a raft core starts
// with.
//
// Pure; one owner.
#pragma once

#include <optional>

#include "cluster/raft.hpp"
#include "runtime/result.hpp"

namespace lance::cluster {

class replica_start {
 public:
  /// The log begins at `start`, behind a batch of `base_term` (0 for none); `held` is the
  /// membership there.
  replica_start(log_id log, node_id self, batch_number start, term base_term, membership_at held);

  /// The next batch: number and term of its header, and what it carries if it is a control batch.
  /// Errors, with nothing changed: corrupt (a number left out, a term that goes back).
  [[nodiscard]] result<> add(batch_number number, term in_term,
                             const std::optional<control_batch>& control = {});

  /// `promised` is the log's row of votes.log, none when it has none; `sound` is false when that
  /// file is damaged or the log takes no appends. The member is not fit then, nor when its log has
  /// batches of a term that it never entered: votes.log is missing then, or an older one, and a
  /// vote of that term may be forgotten.
  [[nodiscard]] raft_start finish(const std::optional<vote_record>& promised, bool sound) const;

 private:
  raft_start found_;
  term last_;
};

} // namespace lance::cluster
