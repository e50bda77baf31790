#include "client/cli/plain_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/types.hpp"

namespace lance::client::cli {

namespace {

constexpr std::size_t buffer_bytes = 1 * MiB;

tl::unexpected<error> failed() {
  return tl::unexpected{error{errc::io_failed, errno}};
}

// The name itself is durable when its directory is.
result<> sync_parent(const std::string& path) {
  const auto slash = path.rfind('/');
  const auto parent = slash == std::string::npos ? "." : path.substr(0, std::max(slash, 1UL));
  const int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return failed();
  const bool synced = ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  errno = why;
  return synced ? result<>{} : failed();
}

} // namespace

file_writer::file_writer(std::string path) : path_(std::move(path)), beside_(path_ + ".partial") {}

file_writer::~file_writer() {
  if (fd_ < 0)
    return;
  ::close(fd_);
  ::unlink(beside_.c_str());
}

result<> file_writer::open() {
  fd_ = ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0)
    return failed();
  buffer_.reserve(buffer_bytes);
  return {};
}

result<> file_writer::write(byte_view bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const auto some = std::min(bytes.size(), buffer_bytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<long>(some));
    bytes = bytes.subspan(some);
    if (buffer_.size() == buffer_bytes)
      if (auto flushed = flush(); !flushed)
        return flushed;
  }
  return {};
}

result<> file_writer::flush() {
  byte_view left{buffer_};
  while (!left.empty()) {
    const auto put = ::write(fd_, left.data(), left.size());
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return failed();
    left = left.subspan(static_cast<std::size_t>(put));
  }
  buffer_.clear();
  return {};
}

result<> file_writer::keep() {
  if (auto flushed = flush(); !flushed)
    return flushed;
  if (::fsync(fd_) != 0 || ::rename(beside_.c_str(), path_.c_str()) != 0)
    return failed();
  ::close(std::exchange(fd_, -1));
  return sync_parent(path_);
}

file_reader::~file_reader() {
  if (fd_ >= 0)
    ::close(fd_);
}

result<> file_reader::open(const std::string& path) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  if (fd_ < 0 || ::fstat(fd_, &facts) != 0)
    return failed();
  size_ = static_cast<std::uint64_t>(facts.st_size);
  buffer_.resize(buffer_bytes);
  return {};
}

result<> file_reader::rewind() {
  begin_ = end_ = 0;
  return ::lseek(fd_, 0, SEEK_SET) == 0 ? result<>{} : failed();
}

result<std::size_t> file_reader::read(byte_span into) {
  while (begin_ == end_) {
    const auto got = ::read(fd_, buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return failed();
    if (got == 0)
      return 0;
    begin_ = 0;
    end_ = static_cast<std::size_t>(got);
  }
  const auto some = std::min(into.size(), end_ - begin_);
  std::memcpy(into.data(), buffer_.data() + begin_, some);
  begin_ += some;
  return some;
}

} // namespace lance::client::cli
