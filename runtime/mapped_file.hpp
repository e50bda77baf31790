// A file's bytes, mapped for reading. A page that the device cannot give, or that lies behind a
// file that became shorter, would end the process (SIGBUS); here it becomes zeros, and failed()
// says so. What reads mapped bytes has checksums or asks afterwards.
#pragma once

#include <cstddef>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::runtime {

class mapped_file {
 public:
  /// Mapped at one time, all over the process: more than there are open segments.
  static constexpr std::size_t mappings_max = 65'536;

  /// Of the whole file; the descriptor may be closed afterwards. Errors: io_failed (EMFILE:
  /// mappings_max).
  static result<mapped_file> map(int descriptor);
  mapped_file() noexcept = default;
  mapped_file(mapped_file&& other) noexcept;
  mapped_file& operator=(mapped_file&& other) noexcept;
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file();

  [[nodiscard]] byte_view bytes() const noexcept;
  /// Some of the bytes that were read are zeros and no content. Any thread.
  [[nodiscard]] bool failed() const noexcept;

 private:
  static constexpr std::size_t nothing = ~std::size_t{0};
  std::size_t slot_ = nothing; // in the table that the signal's handler looks into
};

} // namespace lance::runtime
