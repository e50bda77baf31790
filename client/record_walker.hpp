// Takes fetch replies apart into records, whether they come as whole batches (FetchBatches) or as a
// piece of the topic's byte stream (Fetch). Plain code; one thread at a time.
//
// Batches: a payload that is wholly made of records (record.hpp) is those records; any other is one
// record of type raw, so that nothing anybody stored is hidden or misread. Stream: there are no
// batches to be seen, every TLV record is a record whatever its type, and the piece of a record at
// the end waits for the next reply. With framing::raw nothing is taken apart: a record is a batch,
// or a reply.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "client/record.hpp"
#include "wire/batch_commands.hpp"

namespace lance::client {

class record_walker {
 public:
  explicit record_walker(framing form) noexcept : form_(form) {}

  /// Begins anew: records before `from`, or numbered below `from_record`, are passed over, and raw
  /// ones are cut to begin at `from`.
  void start_at(byte_offset from, record_number from_record = {});

  /// The next reply, when next() has said that there is no more. Its bytes live until then.
  void feed(const wire::batches_view& batches);
  /// `data` begins at `at`. A gap to what was fed before (retention moved the log's start) drops
  /// the unfinished record. Copied.
  void feed_stream(byte_offset at, byte_view data);

  /// The next record, nothing when the reply is used up. Its views live as long as the reply's
  /// bytes, those of a stream until the next feed_stream(). errc::bad_format: what is in the stream
  /// cannot be a record.
  [[nodiscard]] result<std::optional<record>> next();

  /// Where the next record to be told begins.
  [[nodiscard]] byte_offset position() const noexcept { return position_; }
  /// Up to where bytes have been fed.
  [[nodiscard]] byte_offset fed() const noexcept { return fed_; }

 private:
  [[nodiscard]] bool take_batch();
  [[nodiscard]] std::optional<record> next_in_batch();
  [[nodiscard]] std::optional<record> raw_batch();
  [[nodiscard]] result<std::optional<record>> next_in_stream();
  [[nodiscard]] bool wanted(const record& found) const noexcept;

  framing form_;
  byte_offset from_;
  record_number from_record_;
  byte_offset position_;
  byte_offset fed_;

  std::optional<wire::batches_view> batches_;
  wire::batch_entry entry_; ///< the batch being walked
  byte_view payload_;
  std::optional<wire::tlv_reader> reader_; ///< over payload_; nothing between batches
  bool numbered_ = false;

  std::vector<std::byte> stream_; ///< not yet told, from stream_at_ on
  std::size_t stream_used_ = 0;   ///< of it, told already
  byte_offset stream_at_;
};

} // namespace lance::client
