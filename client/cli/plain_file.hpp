// A file of the user's: written beside its name and given it when all is there, or read from begin
// to end. Errors: io_failed with the system's number.
#pragma once

#include <string>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::client::cli {

/// Buffered. What was not kept with keep() goes away with the object.
class file_writer {
 public:
  explicit file_writer(std::string path);
  ~file_writer();
  file_writer(const file_writer&) = delete;
  file_writer& operator=(const file_writer&) = delete;

  [[nodiscard]] result<> open();
  [[nodiscard]] result<> write(byte_view bytes);
  /// All of it is on the disk, under its name, on return.
  [[nodiscard]] result<> keep();
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  [[nodiscard]] result<> flush();
  std::string path_;
  std::string beside_;
  std::vector<std::byte> buffer_;
  std::uint64_t bytes_ = 0;
  int fd_ = -1;
};

/// Buffered.
class file_reader {
 public:
  file_reader() = default;
  ~file_reader();
  file_reader(const file_reader&) = delete;
  file_reader& operator=(const file_reader&) = delete;

  [[nodiscard]] result<> open(const std::string& path);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// From the begin again.
  [[nodiscard]] result<> rewind();
  /// 0 at the end.
  [[nodiscard]] result<std::size_t> read(byte_span into);

 private:
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t size_ = 0;
  int fd_ = -1;
};

} // namespace lance::client::cli
