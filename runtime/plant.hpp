// Bugs on purpose, to prove that the simulator's checkers bite. In every build but the simulator's
// `planted()` is false at compile time and costs nothing.
#pragma once

#include <cstdint>

namespace lance::runtime {

enum class plant : std::uint8_t {
  none,
  ack_before_write,              ///< a batch counts as durable when it is handed over
  group_without_flush,           ///< a group is written, not flushed
  retry_after_failed_flush,      ///< a failed flush is simply asked for once more
  last_flush_dropped,            ///< a segment is left with batches that were never flushed
  name_not_awaited,              ///< the first group counts before its file's name is durable
  directory_not_synced,          ///< a new segment's name is never synced
  close_not_synced,              ///< a closed segment gets its name before its size is durable
  closed_cut_short,              ///< a closed segment is cut one byte too early
  index_ahead_of_flush,          ///< the index vouches for batches that are not flushed
  tail_not_synced,               ///< what recovery read back is served without a flush
  tail_not_rewritten,            ///< it is flushed, although an earlier flush may have lost it
  checksum_unchecked,            ///< recovery believes a payload it did not verify
  last_batch_forgotten,          ///< recovery leaves the last whole batch out
  rot_unseen,                    ///< reads from disk are not verified
  reader_past_limit,             ///< a reader is given what lies beyond the limit it was given
  one_segment_too_many,          ///< retention takes a segment that has batches to be kept
  durable_end_passed,            ///< retention takes the segment that is being written
  drop_not_synced,               ///< a segment that was dropped comes back
  numbers_not_kept,              ///< a log that retention emptied begins anew
  age_never_met,                 ///< retention by age takes nothing
  clock_taken_as_it_is,          ///< append times go back with the wall clock
  records_counted_anew,          ///< record numbers begin at 0 after each opening
  unknown_told_as_refused,       ///< a client takes a batch that may be stored for one that is not
  sent_again_unasked,            ///< a client sends again what it was told not to
  producers_of_active_forgotten, ///< recovery knows producers only up to the last whole segment
  producers_of_closed_forgotten, ///< or only as far as it was last written down
  producers_not_noted,           ///< what retention drops takes along what was known of them
  duplicate_appended,            ///< what a producer sends again is stored again
  gap_taken,                     ///< a batch is taken though the one before it is missing
  // Replication, from here on: found by the simulated cluster.
  vote_not_persisted,        ///< a vote is given and not written down
  vote_without_log_check,    ///< it is given to who lacks batches
  old_term_committed,        ///< a batch of an earlier term is committed by counting
  ack_before_durable,        ///< a follower tells what it has not synced
  own_undurable_counted,     ///< a leader counts itself with what it has not synced
  unmatched_tail_acked,      ///< a follower tells its own tail, which the leader has not
  stale_durability,          ///< news of batches that are no more count for those in their place
  previous_term_unchecked,   ///< an append is taken wherever it fits by number
  tail_cut_by_old_append,    ///< an append that ends earlier cuts off what lies behind it
  duplicate_applied,         ///< batches that are there already are written again
  commit_beyond_matched,     ///< a follower takes its own tail for committed
  stale_term_accepted,       ///< a leader of a term that is over is followed
  learner_counted,           ///< learners decide
  eviction_shrinks_quorum,   ///< the majority is one of those that keep up
  two_changes_at_once,       ///< a membership changes before the last change is committed
  window_overrun,            ///< a follower gets more than its window
  transfer_without_catch_up, ///< leadership goes to who lacks batches
  read_unconfirmed,          ///< a leader reads without asking whether it still is one
  majority_not_missed,       ///< a leader that nobody answers goes on
  deposed_leader_acks,       ///< who leads no more acknowledges what its successor committed
  // Its storage: found by the simulated cluster on disks.
  vote_not_awaited, ///< a vote leaves before votes.log is synced
  stale_terms_kept, ///< what is written down of batches that were cut off is believed
  start_not_noted,  ///< retention does not write down what stood before the log's new start
  count
};

/// The first bug of replication.
inline constexpr plant first_cluster_plant = plant::vote_not_persisted;
/// And the first of those that take a disk.
inline constexpr plant first_replica_plant = plant::vote_not_awaited;

#ifdef LANCE_PLANTS
#ifndef LANCE_PLANT
#define LANCE_PLANT 0
#endif
/// The simulator's choice; one thread. -DLANCE_PLANT=n is the choice of a build.
inline plant planted_now = static_cast<plant>(LANCE_PLANT);
[[nodiscard]] inline bool planted(plant which) noexcept {
  return planted_now == which;
}
#else
[[nodiscard]] constexpr bool planted(plant) noexcept {
  return false;
}
#endif

} // namespace lance::runtime
