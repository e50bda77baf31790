// Lines of a file or a pipe, as they come, without copying those that lie in one piece.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"

namespace lance::client::cli {

class line_reader {
 public:
  /// Longer lines end the reading with too_large: no frame could carry them.
  static constexpr std::size_t line_bytes_max = 16 * MiB;

  /// The descriptor stays the caller's.
  explicit line_reader(int descriptor) : fd_(descriptor), buffer_(buffer_bytes) {}

  /// The next line without its newline, valid until the next call; nothing at the end. The last one
  /// may lack its newline. Blocks. Errors: io_failed, too_large.
  [[nodiscard]] result<std::optional<byte_view>> next();

  /// Reads on regardless of lines until `into` is full or the input ends; returns how much it was.
  /// Not mixed with next(). Blocks.
  [[nodiscard]] result<std::size_t> fill(byte_span into);

 private:
  static constexpr std::size_t buffer_bytes = 1 * MiB;

  [[nodiscard]] result<bool> read_more(); ///< false: the input has ended

  int fd_;
  std::vector<std::byte> buffer_; ///< read and not yet told: [begin_, end_)
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

} // namespace lance::client::cli
