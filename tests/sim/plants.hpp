// The names of the planted bugs (runtime/plant.hpp), for the table.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "runtime/plant.hpp"

namespace lance::sim {

inline constexpr std::size_t plant_kinds = static_cast<std::size_t>(runtime::plant::count);

inline constexpr std::array<std::string_view, plant_kinds> plant_names{
    "none",
    "ack_before_write",
    "group_without_flush",
    "retry_after_failed_flush",
    "last_flush_dropped",
    "name_not_awaited",
    "directory_not_synced",
    "close_not_synced",
    "closed_cut_short",
    "index_ahead_of_flush",
    "tail_not_synced",
    "tail_not_rewritten",
    "checksum_unchecked",
    "last_batch_forgotten",
    "rot_unseen",
    "reader_past_limit",
    "one_segment_too_many",
    "durable_end_passed",
    "drop_not_synced",
    "numbers_not_kept",
    "age_never_met",
    "clock_taken_as_it_is",
    "records_counted_anew",
    "unknown_told_as_refused",
    "sent_again_unasked",
    "producers_of_active_forgotten",
    "producers_of_closed_forgotten",
    "producers_not_noted",
    "duplicate_appended",
    "gap_taken",
    "vote_not_persisted",
    "vote_without_log_check",
    "old_term_committed",
    "ack_before_durable",
    "own_undurable_counted",
    "unmatched_tail_acked",
    "stale_durability",
    "previous_term_unchecked",
    "tail_cut_by_old_append",
    "duplicate_applied",
    "commit_beyond_matched",
    "stale_term_accepted",
    "learner_counted",
    "eviction_shrinks_quorum",
    "two_changes_at_once",
    "window_overrun",
    "transfer_without_catch_up",
    "read_unconfirmed",
    "majority_not_missed",
    "deposed_leader_acks",
    "vote_not_awaited",
    "stale_terms_kept",
    "start_not_noted",
};

static_assert(!plant_names.back().empty(), "every plant has a name");

} // namespace lance::sim
