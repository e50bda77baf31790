// One segment as readers see it: its facts, its file and its index. The active one grows; a closed
// one is opened when it is read and let go when others are read more.
//
// Owned by its log, and held by reads under way, on the poller's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/batch_marks.hpp"
#include "storage/file.hpp"
#include "storage/index.hpp"
#include "storage/reread.hpp"

namespace lance::storage {

struct segment_facts {
  segment_id id;
  std::uint64_t last_ns = 0;    ///< append time of the last batch
  std::uint64_t file_bytes = 0; ///< whole batches, from the file's begin
  std::uint64_t batches = 0;
  byte_offset first_offset, end_offset;
  record_number first_record, end_record;

  [[nodiscard]] batch_number end_number() const noexcept {
    return batch_number{id.first.value + batches};
  }
};

class segment {
 public:
  /// The active segment: file and index are there from the start.
  segment(const segment_facts& facts, std::unique_ptr<file> data,
          std::unique_ptr<active_index> index);
  /// A closed one, opened later.
  explicit segment(const segment_facts& facts) : facts_(facts) {}

  [[nodiscard]] const segment_facts& facts() const noexcept { return facts_; }
  [[nodiscard]] bool is_open() const noexcept { return data_ != nullptr && index_ != nullptr; }
  /// Blocks. Opens file and index of a closed segment. Errors: io_failed, bad_format.
  [[nodiscard]] result<> open(disk& door, const std::string& directory, bool direct);
  /// A closed segment's index was written anew: goes on with that, if it is open. Errors as open().
  [[nodiscard]] result<> reload_index(disk& door, const std::string& directory);
  /// Closes what open() opened. Only when no read holds the segment.
  void release() noexcept;

  [[nodiscard]] file& data() noexcept { return *data_; }
  [[nodiscard]] const index_view& index() const noexcept { return *index_; }
  /// The device could not give some of the index that was looked at: entries may be zeros.
  [[nodiscard]] bool index_failed() const noexcept { return mapped_ && mapped_->failed(); }

  // -- of a closed segment that is read again and again, through the page cache ------------------
  /// The file to read from.
  [[nodiscard]] file& read_from() noexcept { return cached_ ? *cached_ : *data_; }
  [[nodiscard]] bool in_page_cache() const noexcept { return cached_ != nullptr; }
  /// `buffered` is the segment's file, opened without O_DIRECT.
  void enter_page_cache(std::unique_ptr<file> buffered, reread_share share);
  /// Only when no read holds the segment.
  void leave_page_cache() noexcept;

  // -- the active segment's, called by its log -------------------------------------------------
  /// A batch became durable: it counts from now on.
  void add(const sealed_batch& batch);
  [[nodiscard]] active_index* growing() noexcept { return growing_.get(); }
  /// After the close job: from now on the index is the mapped file. Returns the growing one.
  std::unique_ptr<active_index> become_closed(std::unique_ptr<mapping> index);

  std::uint64_t last_use = 0; ///< the log's, to find the least recently read
  batch_marks verified;       ///< the reader's: large batches whose payload has been verified
  reread_habit habit;

 private:
  [[nodiscard]] result<std::unique_ptr<mapping>> map_index(disk& door,
                                                           const std::string& directory) const;
  void use_mapping(std::unique_ptr<mapping> index);

  segment_facts facts_;
  std::unique_ptr<file> data_;
  std::unique_ptr<file> cached_; // the same file through the page cache
  reread_share share_;
  std::unique_ptr<active_index> growing_;
  std::unique_ptr<mapping> mapped_;
  encoded_index closed_;
  const index_view* index_ = nullptr;
};

} // namespace lance::storage
