// Where the tool reads and writes: three descriptors, so that tests give it files of their own.
#pragma once

#include <string>
#include <string_view>

#include "runtime/types.hpp"

namespace lance::client::cli {

/// Text on its way to a descriptor, written in large pieces. An error (a full disk, a closed pipe)
/// is remembered and the rest is dropped; who writes data asks good() at the end.
class sink {
 public:
  explicit sink(int descriptor) : fd_(descriptor) {}
  ~sink() { flush(); }
  sink(const sink&) = delete;
  sink& operator=(const sink&) = delete;

  void put(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= flush_at)
      flush();
  }
  /// For who formats in place; call settle() afterwards.
  [[nodiscard]] std::string& buffer() noexcept { return buffer_; }
  void settle() {
    if (buffer_.size() >= flush_at)
      flush();
  }

  /// Blocks. False once something could not be written.
  bool flush();
  [[nodiscard]] bool good() const noexcept { return good_; }
  [[nodiscard]] int descriptor() const noexcept { return fd_; }

 private:
  static constexpr std::size_t flush_at = 256 * KiB;

  int fd_;
  bool good_ = true;
  std::string buffer_;
};

struct console {
  int input = 0;
  sink out{1};
  sink errors{2};

  [[nodiscard]] bool input_is_terminal() const noexcept;
};

} // namespace lance::client::cli
