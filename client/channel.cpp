#include "client/channel.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace lance::client {

namespace {

// Room for a few hundred acknowledgements, or one fetch of the default size, per system call.
constexpr std::size_t buffer_bytes = 256 * KiB;

} // namespace

channel::channel(std::unique_ptr<transport> line, std::string node)
    : line_(std::move(line)), node_(std::move(node)),
      cutter_(wire::batches_reply_bytes_max, wire::checksum_kind::iso_hdlc), buffer_(buffer_bytes) {
}

outcome<> channel::post(const wire::frame_header& header, byte_view payload, deadline until) {
  std::array<std::byte, wire::frame_header_bytes> head;
  wire::encode_header(wire::seal(header, kind(), payload), kind(), head.data());
  byte_view first{head};
  while (!first.empty() || !payload.empty()) {
    const std::array parts{first, payload};
    const auto sent = line_->send(parts);
    if (!sent)
      return lost(sent.error(), "sending");
    const auto of_first = std::min(*sent, first.size());
    first = first.subspan(of_first);
    payload = payload.subspan(*sent - of_first);
    if (*sent != 0)
      continue;
    if (until.passed())
      return lost({errc::timed_out, 0}, "sending");
    if (const auto ready = line_->wait(interest::send, until); !ready)
      return lost(ready.error(), "sending");
  }
  return {};
}

outcome<std::optional<reply_frame>> channel::try_receive() {
  while (true) {
    const auto cut = cutter_.next(unread());
    if (cut.outcome == wire::verdict::ok) {
      begin_ += cut.consumed;
      wanted_ = wire::frame_header_bytes;
      return reply_frame{cut.header, cut.payload};
    }
    if (cut.outcome != wire::verdict::need_more)
      return lost({errc::bad_frame, 0}, "receiving");
    wanted_ = std::max(cut.wanted, wire::frame_header_bytes);
    const auto got = read_some();
    if (!got)
      return lost(got.error(), "receiving");
    if (!*got)
      return std::nullopt;
  }
}

outcome<reply_frame> channel::receive(deadline until) {
  while (true) {
    auto reply = try_receive();
    if (!reply)
      return tl::unexpected{reply.error()};
    if (*reply)
      return **reply;
    if (until.passed())
      return lost({errc::timed_out, 0}, "waiting for an answer");
    if (const auto ready = line_->wait(interest::receive, until); !ready)
      return lost(ready.error(), "receiving");
  }
}

outcome<reply_frame> channel::call(const wire::frame_header& header, byte_view payload,
                                   deadline until) {
  if (auto posted = post(header, payload, until); !posted)
    return tl::unexpected{posted.error()};
  return receive(until);
}

outcome<> channel::ping(deadline until) {
  const auto reply = call(wire::keepalive_header(), {}, until);
  if (!reply)
    return tl::unexpected{reply.error()};
  if (reply->kind() != wire::frame_kind::keepalive)
    return lost({errc::bad_frame, 0}, "waiting for a sign of life");
  return {};
}

bool channel::stale() {
  const auto got = read_some();
  return !got || *got || begin_ != end_;
}

result<bool> channel::read_some() {
  make_room(wanted_);
  const auto got = line_->receive(byte_span{buffer_}.subspan(end_));
  if (!got)
    return tl::unexpected{got.error()};
  end_ += *got;
  return *got != 0;
}

// Leaves room after end_, and for `wanted` bytes from begin_ on. Moves or grows; a frame handed out
// before is invalid from here.
void channel::make_room(std::size_t wanted) {
  if (begin_ == end_)
    begin_ = end_ = 0;
  if (begin_ + wanted <= buffer_.size() && end_ < buffer_.size())
    return;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (wanted > buffer_.size())
    buffer_.resize(wanted + buffer_bytes); // at most one reply of the largest size and some more
  if (end_ == buffer_.size())
    buffer_.resize(buffer_.size() + buffer_bytes);
}

} // namespace lance::client
