// The batch index of a segment: one fixed entry per batch, derived from the segment and rebuilt
// from it to the same bytes.
//
// File: a header of 64 bytes, then entries of 64 bytes.
//
//   header: byte  0  magic "LNCIDX\0\1" (8; the last byte is the format version)
//                 8  entry size u32 = 64
//                12  log id u32
//                16  first batch number u64
//                24  first stream offset u64
//                32  first record number u64
//                40  first append time u64
//                48  header_crc of the first batch u32
//                52  zero (8)
//                60  CRC-32C of bytes 0..59
//   entry:  byte  0  sort key (16)
//                16  stream offset u64
//                24  file position of the batch header u32
//                28  payload length u32; bit 31: a control batch, which takes no offsets;
//                    bit 30: an idempotent producer's, whose stamp is in its header
//                32  first record u64
//                40  record count u32
//                44  header_crc u32
//                48  term u64
//                56  append time u64
//
// All of it follows from the segment's batches. An entry reaches the file only after its batch is
// durable; so the entries that are there vouch for their batches, and what does not verify below
// them is damage, not a torn tail.
//
// Pure functions and plain containers; any thread, no locks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "storage/sealed_run.hpp"

namespace lance::storage {

inline constexpr std::size_t index_header_bytes = 64;
inline constexpr std::size_t index_entry_bytes = 64;

/// One batch, as the index knows it.
struct index_entry {
  wire::sort_key key;
  byte_offset offset;
  std::uint32_t position = 0;
  std::uint32_t payload_length = 0;
  bool control = false;
  bool stamped = false; ///< an idempotent producer's
  record_number first_record;
  std::uint32_t record_count = 0;
  std::uint32_t header_crc = 0;
  term in_term;
  std::uint64_t append_time_ns = 0;

  friend bool operator==(const index_entry&, const index_entry&) = default;

  [[nodiscard]] std::uint64_t payload_position() const noexcept {
    return position + batch_header_bytes;
  }
  [[nodiscard]] std::uint64_t file_end() const noexcept {
    return payload_position() + payload_length;
  }
  [[nodiscard]] std::uint32_t stream_bytes() const noexcept { return control ? 0 : payload_length; }
  [[nodiscard]] byte_offset end_offset() const noexcept {
    return byte_offset{offset.value + stream_bytes()};
  }
  [[nodiscard]] record_number end_record() const noexcept {
    return record_number{first_record.value + record_count};
  }
};

[[nodiscard]] index_entry entry_of(const sealed_batch& batch) noexcept;
void encode(const index_entry& entry, std::byte* to) noexcept;
[[nodiscard]] index_entry decode_entry(const std::byte* from) noexcept;

/// The facts of a segment's first batch, which the index header repeats.
struct index_header {
  log_id log;
  batch_number first_number;
  byte_offset first_offset;
  record_number first_record;
  std::uint64_t first_time_ns = 0;
  std::uint32_t first_crc = 0;

  friend bool operator==(const index_header&, const index_header&) = default;
};
[[nodiscard]] index_header header_of(const sealed_batch& first) noexcept;
void encode(const index_header& header, std::byte* to) noexcept;
/// Errors: incomplete, bad_format.
[[nodiscard]] result<index_header> decode_index_header(byte_view from) noexcept;

/// How many leading entries of `file` (a whole .idx, header included, already decoded) follow from
/// one another: positions without gaps, offsets and records adding up, times not decreasing.
[[nodiscard]] std::size_t coherent_entries(byte_view file, const index_header& header) noexcept;

/// Entries in order of batch number, in memory or in a mapped file.
class index_view {
 public:
  virtual ~index_view() = default;
  [[nodiscard]] virtual std::size_t size() const noexcept = 0;
  /// `at` < size().
  [[nodiscard]] virtual index_entry entry(std::size_t at) const noexcept = 0;

  /// The batch that holds the byte at `offset`, control batches aside. None at or past the end.
  [[nodiscard]] std::optional<std::size_t> find_offset(byte_offset offset) const noexcept;
  /// The batch that holds the record.
  [[nodiscard]] std::optional<std::size_t> find_record(record_number record) const noexcept;
  /// The first batch appended at or after the time.
  [[nodiscard]] std::optional<std::size_t> find_time(std::uint64_t time_ns) const noexcept;
};

/// The index of the active segment: encoded entries in blocks of fixed size, which are kept and
/// used again for the next segment.
class active_index final : public index_view {
 public:
  static constexpr std::size_t block_entries = 1024; // 64 KiB: one allocation per thousand batches

  void clear() noexcept { size_ = 0; }
  void add(const index_entry& entry);
  [[nodiscard]] std::size_t size() const noexcept override { return size_; }
  [[nodiscard]] index_entry entry(std::size_t at) const noexcept override;
  /// Encoded entries from `from` on, as many as lie together, at most up to `to`.
  [[nodiscard]] byte_view encoded(std::size_t from, std::size_t to) const noexcept;

 private:
  using block = std::array<std::byte, block_entries * index_entry_bytes>;
  std::vector<std::unique_ptr<block>> blocks_;
  std::size_t size_ = 0;
};

/// A view over encoded entries somebody else keeps.
class encoded_index final : public index_view {
 public:
  encoded_index() = default;
  /// `entries`: a multiple of index_entry_bytes.
  explicit encoded_index(byte_view entries) noexcept : entries_(entries) {}
  [[nodiscard]] std::size_t size() const noexcept override {
    return entries_.size() / index_entry_bytes;
  }
  [[nodiscard]] index_entry entry(std::size_t at) const noexcept override {
    return decode_entry(entries_.data() + at * index_entry_bytes);
  }

 private:
  byte_view entries_;
};

} // namespace lance::storage
