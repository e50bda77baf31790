// Files of dropped segments that become segments again. Their blocks are written already, so that a
// flush into them is as fast as it gets; but they still hold the batches of their earlier life.
//
// Why none of these can pass for the log: a header counts only with the number that is expected at
// its place, and every number in a recycled file is below that of the first batch of the segment
// it becomes, because a log drops only what lies before its start and gives no number there again.
//
// So that recovery can tell those leftovers from a torn write, the last block of the file holds a
// mark until the log overwrites it. While the mark is there, what lies behind the end belongs to
// the log only as far as a batch header with a number it had not yet reached says so.
#pragma once

#include <array>
#include <optional>

#include "storage/file.hpp"
#include "storage/options.hpp"

namespace lance::storage {

inline constexpr std::size_t recycled_mark_bytes = 64;

struct recycled_mark {
  log_id log;
  std::uint64_t file_bytes = 0; ///< the whole file's; the mark begins one block before its end
};

[[nodiscard]] std::array<std::byte, recycled_mark_bytes> encode(const recycled_mark& mark) noexcept;
/// Empty when the bytes are no mark.
[[nodiscard]] std::optional<recycled_mark> decode_mark(byte_view from) noexcept;

/// Cold. Puts the mark into the last block of the file, which is `mark.file_bytes` long. Not
/// durable until sync().
result<> write_mark(file& data, const recycled_mark& mark);

/// Cold. Where leftovers may lie up to: the position of the mark, if the file has one of this log.
result<std::optional<std::uint64_t>> find_mark(file& data, log_id log);

/// Cold. The end of the last batch in [from, to) whose header stands there with a number of at
/// least `next`, at most `to`; `from` when there is none.
result<std::uint64_t> end_of_newer(file& data, std::uint64_t from, std::uint64_t to, log_id log,
                                   batch_number next);

} // namespace lance::storage
