// The kinds of harm done to a simulated cluster, and how often each was really done; beside them
// what the cluster did about it, so that a run in which nothing happens does not count.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lance::sim {

enum class cluster_event : std::uint8_t {
  crashed,           ///< a process died
  crashed_in_output, ///< between two deeds of one output
  power_lost,        ///< all of them at once
  rolled,            ///< restarted one after the other
  batches_lost,      ///< that were not durable, in a crash
  letter_lost,       ///< by chance
  letter_repeated,   ///< and the copy came later
  letter_cut,        ///< on a line that was cut
  partitioned,       ///< two sides
  bridged,           ///< two sides and one that hears both
  cut_one_way,       ///< somebody is heard and hears nothing, or the other way round
  link_slow,         ///< much slower than the others
  disk_slow,         ///< flushes longer than the limit of evictions
  clock_jumped,      ///< of one node, either way
  fetch_failed,      ///< a segment could not be read for a follower
  log_unfit,         ///< fenced or damaged
  elected,           ///< a leader
  truncated,         ///< a tail that nobody else had
  rebased,           ///< a log that began anew
  evicted,           ///< from the fast path
  returned,          ///< to it
  members_changed,   ///< asked for and accepted
  handed_over,       ///< asked for and accepted
  trimmed,           ///< retention
  read_answered,     ///< after a round
  acknowledged,      ///< batches
  told_unknown,      ///< batches whose leader was deposed
  count
};

inline constexpr std::size_t cluster_event_kinds = static_cast<std::size_t>(cluster_event::count);

inline constexpr std::array<std::string_view, cluster_event_kinds> cluster_event_names{
    "crashed",      "crashed_in_output", "power_lost",  "rolled",       "batches_lost",
    "letter_lost",  "letter_repeated",   "letter_cut",  "partitioned",  "bridged",
    "cut_one_way",  "link_slow",         "disk_slow",   "clock_jumped", "fetch_failed",
    "log_unfit",    "elected",           "truncated",   "rebased",      "evicted",
    "returned",     "members_changed",   "handed_over", "trimmed",      "read_answered",
    "acknowledged", "told_unknown"};

static_assert(!cluster_event_names.back().empty(), "every event has a name");

class cluster_counts {
 public:
  void note(cluster_event kind, std::uint64_t times = 1) noexcept {
    counts_[static_cast<std::size_t>(kind)] += times;
  }
  [[nodiscard]] std::uint64_t of(cluster_event kind) const noexcept {
    return counts_[static_cast<std::size_t>(kind)];
  }
  void add(const cluster_counts& other) noexcept {
    for (std::size_t i = 0; i < cluster_event_kinds; ++i)
      counts_[i] += other.counts_[i];
  }

 private:
  std::array<std::uint64_t, cluster_event_kinds> counts_{};
};

} // namespace lance::sim
