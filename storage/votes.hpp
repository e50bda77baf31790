// What this node has promised in the elections of its logs: for each log the term it is in and whom
// it voted for in that term. One small file in the data directory, `votes.log`, written anew as a
// whole: after a crash either the old or the new one is there. An answer that a row stands for
// leaves after save() has returned.
//
// A damaged file is left where it is and opens for nobody: a node that has forgotten a vote could
// give it twice. Layout in storage/README.md. Blocks; one owner, any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/types.hpp"
#include "storage/file.hpp"

namespace lance::storage {

struct vote_row {
  log_id log;
  term current;                ///< the highest term this node has entered
  std::optional<node_id> vote; ///< given in that term, and never to anybody else

  friend bool operator==(const vote_row&, const vote_row&) = default;
};

inline constexpr std::size_t votes_head_bytes = 16;
inline constexpr std::size_t vote_row_bytes = 16;
/// Logs of one node: the file is written as a whole, and 1 MiB takes no longer than its two syncs.
inline constexpr std::size_t vote_rows_max = 65'536;
inline constexpr std::size_t votes_bytes_max =
    votes_head_bytes + vote_rows_max * vote_row_bytes + sizeof(std::uint32_t);

/// `rows`: ascending by log, at most vote_rows_max.
[[nodiscard]] std::vector<std::byte> encode_votes(std::span<const vote_row> rows);
/// Errors: bad_format (length, magic, version, checksum, order, fields that must be zero).
[[nodiscard]] result<std::vector<vote_row>> decode_votes(byte_view bytes);

class vote_book {
 public:
  /// Reads the file of the data directory `directory`, or begins an empty one. What was read is
  /// durable on return: a crash right after a failed save() may have left it in memory only.
  /// Errors: bad_format (damaged: this node must not vote; the file stays as it is), io_failed.
  static result<vote_book> open(disk& door, const std::string& directory);

  /// Null for a log that was never in an election here. Valid until the next save() or forget().
  [[nodiscard]] const vote_row* find(log_id log) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }

  /// All of `rows` in one write, durable on return. Nothing changes on an error: invalid_request (a
  /// term goes back, or a vote of the same term is changed or taken back), exhausted
  /// (vote_rows_max). io_failed is final: which rows are on disk is not known then, and nothing is
  /// promised again before the file was opened anew.
  result<> save(std::span<const vote_row> rows);
  /// Of a log that is deleted for good: its id is never used again. Durable on return; errors as
  /// save().
  result<> forget(log_id log);
  [[nodiscard]] bool failed() const noexcept { return failure_.has_value(); }

 private:
  vote_book(disk& door, std::string path, std::vector<vote_row> rows)
      : door_(&door), path_(std::move(path)), rows_(std::move(rows)) {}
  result<> store(std::vector<vote_row> rows);

  disk* door_;
  std::string path_;
  std::vector<vote_row> rows_; // ascending by log
  std::optional<error> failure_;
};

} // namespace lance::storage
