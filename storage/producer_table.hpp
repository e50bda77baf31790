// What one log knows of its idempotent producers: the newest batch of each. A producer numbers its
// batches 1, 2, 3 ... per log and epoch, and sends them in that order; so a batch whose number is
// not above the newest is one that is here already, and one that leaves a gap must not be taken
// before what is missing.
//
// A duplicate may be acknowledged when the producer's newest batch is safe: the one it repeats lies
// at or before that.
//
// The table follows from the batches' headers (producer id, epoch, sequence) in their order, and
// nothing else but `now`, which only says who may be forgotten. Pure; one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "storage/batch_header.hpp"

namespace lance::storage {

/// As a batch's header has it.
struct producer_stamp {
  std::uint64_t producer = 0; ///< 0: the batch is nobody's
  std::uint32_t epoch = 0;    ///< a later one fences the earlier ones off
  std::uint64_t sequence = 0; ///< from 1

  friend bool operator==(const producer_stamp&, const producer_stamp&) = default;
};

[[nodiscard]] inline producer_stamp stamp_of(const batch_header& header) noexcept {
  return {header.producer_id, header.producer_epoch, header.producer_sequence};
}

struct producer_row {
  producer_stamp newest;
  batch_number number; ///< of that batch
  std::uint64_t seen_ns = 0;

  friend bool operator==(const producer_row&, const producer_row&) = default;
};

enum class producer_verdict : std::uint8_t {
  fresh,     ///< the next one: append it, and tell appended()
  duplicate, ///< here already: acknowledge when `newest` is safe
  gap,       ///< one before it is missing
  stale,     ///< of an epoch that was fenced off
  unknown,   ///< neither the producer's first batch nor one of a producer known here
  no_room,   ///< the next one, of one producer more than the table holds
};

struct producer_judgement {
  producer_verdict verdict = producer_verdict::fresh;
  batch_number newest; ///< of a duplicate
};

class producer_table {
 public:
  /// 10,000 producers of a log are 1 MiB. Beyond it only those can be forgotten that sent nothing
  /// for so long that none of their batches can still be on its way again.
  static constexpr std::size_t rows_max = 10'000;
  static constexpr std::uint64_t keep_ns = 24 * 3600 * s_in_ns;

  [[nodiscard]] producer_judgement judge(const producer_stamp& stamp) const noexcept;

  /// Room for a producer that is not known; forgets those that may be. exhausted: there is none,
  /// and the batch must not be taken.
  result<> make_room(const producer_stamp& stamp, std::uint64_t now_ns);

  /// The batch stands in the log, in the order of numbers. Also for what recovery reads, whatever
  /// it finds: the log is right.
  void appended(const producer_stamp& stamp, batch_number number, std::uint64_t now_ns);

  /// Batches from `end` on were cut off the log. False: some producer's newest is among them, and
  /// the table must be made anew from the headers that are left.
  [[nodiscard]] bool survives_cut(batch_number end) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
  [[nodiscard]] std::optional<producer_row> find(std::uint64_t producer) const;
  /// Ascending by producer.
  [[nodiscard]] std::vector<producer_row> rows() const;

  friend bool operator==(const producer_table&, const producer_table&) = default;

 private:
  std::unordered_map<std::uint64_t, producer_row> rows_;
};

/// The table as bytes, so that recovery need not read every header of a long log: it holds for the
/// log below `end`. Layout in storage/README.md.
struct producer_snapshot {
  log_id log;
  batch_number end;
  producer_table table;
};
[[nodiscard]] std::vector<std::byte> encode_producers(log_id log, batch_number end,
                                                      const producer_table& table);
inline constexpr std::size_t producer_snapshot_bytes_max = 24 + producer_table::rows_max * 40 + 4;
/// Errors: bad_format (length, magic, version, checksum, order, a row that lies behind `end`).
[[nodiscard]] result<producer_snapshot> decode_producers(byte_view bytes);

} // namespace lance::storage
