#include "client/cli/line_reader.hpp"

#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace lance::client::cli {

namespace {

result<std::size_t> read_some(int fd, byte_span into) {
  while (true) {
    const auto got = ::read(fd, into.data(), into.size());
    if (got >= 0)
      return static_cast<std::size_t>(got);
    if (errno != EINTR)
      return fail(errc::io_failed, errno);
  }
}

} // namespace

result<std::optional<byte_view>> line_reader::next() {
  std::size_t searched = begin_;
  while (true) {
    const auto* found = std::memchr(buffer_.data() + searched, '\n', end_ - searched);
    if (found != nullptr) {
      const auto stop =
          static_cast<std::size_t>(static_cast<const std::byte*>(found) - buffer_.data());
      const auto line = byte_view{buffer_}.subspan(begin_, stop - begin_);
      begin_ = stop + 1;
      return line;
    }
    const auto length = end_ - begin_;
    if (length > line_bytes_max)
      return fail(errc::too_large);
    const auto more = read_more();
    if (!more)
      return tl::unexpected{more.error()};
    searched = begin_ + length;
    if (!*more) {
      const auto last = byte_view{buffer_}.subspan(begin_, length);
      begin_ = end_;
      return length == 0 ? std::nullopt : std::optional{last};
    }
  }
}

// What is told already makes room; a long line makes the buffer grow.
result<bool> line_reader::read_more() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == buffer_.size())
    buffer_.resize(2 * buffer_.size());
  const auto got = read_some(fd_, byte_span{buffer_}.subspan(end_));
  if (!got)
    return tl::unexpected{got.error()};
  end_ += *got;
  return *got != 0;
}

result<std::size_t> line_reader::fill(byte_span into) {
  std::size_t filled = 0;
  while (filled < into.size()) {
    const auto got = read_some(fd_, into.subspan(filled));
    if (!got)
      return got;
    if (*got == 0)
      break;
    filled += *got;
  }
  return filled;
}

} // namespace lance::client::cli
