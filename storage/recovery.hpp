// Where the valid bytes of a segment end, and what to do with the rest. Blocks; used while a log is
// opened and by tools.
//
// A torn tail and damage are told apart by the index, which is written behind durability: below its
// last entry everything was durable once, so what does not verify there is damage and is left as it
// was found; above it, the first batch that does not verify ends the segment.
#pragma once

#include <string>
#include <vector>

#include "storage/batch_walk.hpp"
#include "storage/options.hpp"
#include "storage/segment.hpp"

namespace lance::storage {

struct recovered_segment {
  segment_facts facts;
  std::vector<index_entry> entries; ///< of all whole batches
  std::size_t sound_entries = 0; ///< leading entries of the index file that are right as they are
  std::uint64_t batches_walked = 0;
  std::uint64_t bytes_walked = 0;
  bool damaged = false; ///< facts and entries end before the damage

  /// Leaves the first `batches` only.
  void cut_to(std::size_t batches);
};

/// An index over entries in a vector.
class entry_list final : public index_view {
 public:
  explicit entry_list(const std::vector<index_entry>& entries) noexcept : entries_(entries) {}
  [[nodiscard]] std::size_t size() const noexcept override { return entries_.size(); }
  [[nodiscard]] index_entry entry(std::size_t at) const noexcept override { return entries_[at]; }

 private:
  const std::vector<index_entry>& entries_;
};

/// Finds the end of an active segment: from the last batch the index vouches for, or from the
/// begin. `index_file` may be empty. Changes nothing. Errors: io_failed.
[[nodiscard]] result<recovered_segment> recover_active(file& data, byte_view index_file, log_id log,
                                                       segment_id segment);

/// Judges a closed segment by its index: the first and last entry against the segment, and, up to
/// 16 Ki entries, each against the one before it. When they do not hold, all headers are walked
/// (sound_entries is then 0 and the index has to be written anew); damaged when the batches do not
/// end with the file. What this does not see is the scrubber's and, with its header, each reader's.
/// Changes nothing.
/// Errors: io_failed.
[[nodiscard]] result<recovered_segment> recover_closed(file& data, byte_view index_file, log_id log,
                                                       segment_id segment, std::uint64_t last_ns);

struct tail_report {
  std::uint64_t bytes = 0;     ///< from the end to the last byte that is not zero
  std::string quarantine_path; ///< where they are now; empty when there were none
};

/// Whose tail it is: the log, and the number of the batch that would come next.
struct tail_owner {
  log_id log;
  batch_number next;
};

/// Copies [begin, end) of the file to a new file of that name, or with a number behind it when the
/// name is taken, in a directory that exists. Returns its path. Durable on return.
result<std::string> copy_aside(disk& door, file& data, std::uint64_t begin, std::uint64_t end,
                               const std::string& directory, const std::string& name);

/// Copies what lies behind `end` and is not zero into the quarantine (durable on return) and cuts
/// the file there. The file itself is not synced yet. Errors: exhausted (the quarantine's bound is
/// met, or the disk is full: system is ENOSPC then), io_failed. Nothing was cut then.
///
/// In a recycled file (recycled.hpp) only batches of which a header with a number from `owner.next`
/// on is there are the tail; with none of them nothing is cut, because the leftovers behind the end
/// are known for what they are.
result<tail_report> set_tail_aside(disk& door, file& data, std::uint64_t end, tail_owner owner,
                                   const std::string& quarantine, const std::string& name,
                                   const options& chosen);

/// Moves a whole file of a log's directory into the quarantine: takes no space. Durable once the
/// log's directory is synced. Returns where it is. Errors: exhausted (the bound is met: it stays),
/// io_failed.
result<std::string> set_file_aside(disk& door, const std::string& path,
                                   const std::string& quarantine, const std::string& name,
                                   const options& chosen);
/// Writes bytes [begin, end) of a buffered file to where they are, so that the next sync has to
/// make them durable whatever became of earlier ones. Errors: io_failed.
result<> rewrite(file& data, std::uint64_t begin, std::uint64_t end);

} // namespace lance::storage
