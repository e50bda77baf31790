// Names of directories and segments, to and from text. Numbers are 20 decimal digits with leading
// zeros, so that names sort as their numbers do. Pure functions; any thread.
//
//   <data_dir>/lance.lock, node.json, votes.log, ballast, quarantine/, trash/
//   <data_dir>/segments/<topic>/<partition>/
//       <first batch>_<first ns>.lnc            active
//       <first batch>_<first ns>-<last ns>.lnc  closed
//       <first batch>_<first ns>.idx            batch index of either
//       next.spare                              allocated ahead, not part of the log
//       fenced                                  takes no writes (fence_note.hpp)
//       producers                               of idempotent producers (producer_table.hpp)
//       replica                                 terms and memberships (cluster/replica_state.hpp)
//       replica.next                            the same, of a new start that is under way
//       log.start                               where the numbers go on when no segment is left
//       recycled-<first batch>.spare            a dropped segment's file, kept to be the next
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/types.hpp"
#include "storage/sealed_run.hpp"

namespace lance::storage::layout {

inline constexpr std::string_view lock_name = "lance.lock";
inline constexpr std::string_view node_name = "node.json";
inline constexpr std::string_view votes_name = "votes.log";
inline constexpr std::string_view segments_name = "segments";
inline constexpr std::string_view quarantine_name = "quarantine";
inline constexpr std::string_view trash_name = "trash";
inline constexpr std::string_view spare_name = "next.spare";
inline constexpr std::string_view fence_name = "fenced";
inline constexpr std::string_view log_start_name = "log.start";
inline constexpr std::string_view producers_name = "producers";
inline constexpr std::string_view replica_name = "replica";
inline constexpr std::string_view next_replica_name = "replica.next";
inline constexpr std::string_view ballast_name = "ballast";

/// `a/b`, with one slash.
[[nodiscard]] std::string join(std::string_view a, std::string_view b);
/// The directory part; "." when there is none.
[[nodiscard]] std::string parent(std::string_view path);

/// <data_dir>/segments/<topic>/<partition>
[[nodiscard]] std::string log_directory(std::string_view data_dir, std::string_view topic,
                                        std::uint32_t partition);

[[nodiscard]] std::string active_name(segment_id segment);
[[nodiscard]] std::string closed_name(segment_id segment, std::uint64_t last_ns);
[[nodiscard]] std::string index_name(segment_id segment);
/// Of a dropped segment's file that is kept.
[[nodiscard]] std::string recycled_name(segment_id segment);

enum class file_kind : std::uint8_t {
  active_segment,
  closed_segment,
  index,
  spare,
  recycled,
  other
};

struct file_name {
  file_kind kind = file_kind::other;
  segment_id segment;        ///< segments and indexes
  std::uint64_t last_ns = 0; ///< closed segments
};
/// What a name in a log's directory means; `other` for names that are not ours.
[[nodiscard]] file_name parse(std::string_view name) noexcept;

/// log-<log id>_<first batch>_<position>.tail: bytes recovery set aside.
[[nodiscard]] std::string quarantine_file(log_id log, segment_id segment, std::uint64_t position);
/// log-<log id>_<name>: a whole file of the log's directory that recovery set aside.
[[nodiscard]] std::string quarantine_file(log_id log, std::string_view name);

} // namespace lance::storage::layout
