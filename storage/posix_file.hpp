// A file through plain system calls: the cold deeds of every real file, and writes and reads for
// where there is no ring. They run on the helper thread when there is one, else inline.
#pragma once

#include "runtime/blocking_thread.hpp"
#include "storage/file.hpp"

namespace lance::storage {

class posix_file : public file {
 public:
  /// Takes over the descriptor. `helper` may be null and outlives the file.
  posix_file(int descriptor, bool direct, runtime::blocking_thread* helper) noexcept
      : descriptor_(descriptor), direct_(direct), helper_(helper) {}
  ~posix_file() override;
  posix_file(const posix_file&) = delete;
  posix_file& operator=(const posix_file&) = delete;

  void write(write_request& request) override;
  void read(read_request& request) override;
  result<> allocate(std::uint64_t bytes) override;
  result<> truncate(std::uint64_t bytes) override;
  result<std::uint64_t> size() override;
  result<> sync() override;
  result<> forget_cached() override;
  void set_read_ahead(bool wanted) noexcept override;
  result<std::size_t> read_now(std::uint64_t position, byte_span into) override;
  result<> write_now(std::uint64_t position, byte_view data) override;
  result<std::uint64_t> next_data(std::uint64_t position) override;

 protected:
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] bool direct() const noexcept { return direct_; }

 private:
  int descriptor_;
  bool direct_;
  bool read_ahead_ = true;
  runtime::blocking_thread* helper_;
};

} // namespace lance::storage
