#include "actors/frame_assembler.hpp"

#include <algorithm>
#include <cstring>

#include "actors/limits.hpp"
#include "runtime/check.hpp"

namespace lance::actors {

using wire::verdict;

assembly frame_assembler::give_up(verdict why) noexcept {
  fault_ = why;
  return assembly::fault;
}

void frame_assembler::drop() noexcept {
  buffers_.clear();
  if (reserved_ > 0)
    budget_.release(reserved_);
  reserved_ = 0;
  gathering_ = delivered_ = false;
  header_have_ = 0;
  have_ = 0;
  running_crc_ = 0;
}

assembly frame_assembler::next(byte_view& bytes) {
  if (delivered_)
    drop();
  pieces_.clear();
  in_place_ = false;
  if (gathering_)
    return gather(bytes);
  if (bytes.empty())
    return assembly::need_more;

  if (header_have_ == 0) {
    const auto judged = wire::judge_header(bytes, kind_, limit_);
    if (judged.outcome == verdict::ok) {
      kind_ = judged.kind;
      header_ = judged.header;
      if (bytes.size() - wire::frame_header_bytes >= header_.payload_length) {
        const auto payload = bytes.subspan(wire::frame_header_bytes, header_.payload_length);
        if (!wire::payload_ok(header_, judged.kind, payload))
          return give_up(verdict::bad_payload_crc);
        if (!payload.empty())
          pieces_.push_back(payload);
        bytes = bytes.subspan(wire::frame_header_bytes + header_.payload_length);
        in_place_ = true;
        return assembly::frame;
      }
      bytes = bytes.subspan(wire::frame_header_bytes);
      gathering_ = true;
      return gather(bytes);
    }
    if (judged.outcome != verdict::need_more)
      return give_up(judged.outcome);
  }
  // A torn header: gathered apart, judged anew with each byte that comes.
  const auto take = std::min(bytes.size(), wire::frame_header_bytes - header_have_);
  std::memcpy(header_bytes_.data() + header_have_, bytes.data(), take);
  header_have_ += take;
  bytes = bytes.subspan(take);
  const auto judged =
      wire::judge_header(byte_view{header_bytes_}.first(header_have_), kind_, limit_);
  if (judged.outcome == verdict::need_more)
    return assembly::need_more;
  if (judged.outcome != verdict::ok)
    return give_up(judged.outcome);
  kind_ = judged.kind;
  header_ = judged.header;
  header_have_ = 0;
  gathering_ = true;
  return gather(bytes);
}

// Room for `more` bytes beyond those that are here. Pooled buffers, all that the frame needs, are
// reserved only once more of it has really come than the connection's own memory takes: a length in
// a header, or a few bytes after it, cost nobody anything.
bool frame_assembler::make_room(std::size_t more) {
  const auto total = header_.payload_length;
  if (reserved_ > 0 || total <= small_frame_bytes || have_ + more <= small_frame_bytes) {
    if (reserved_ == 0)
      small_.resize(small_frame_bytes); // once per connection
    return true;
  }
  const auto each = budget_.pool().buffer_bytes();
  const auto wanted = static_cast<std::uint32_t>((total + each - 1) / each);
  if (!budget_.reserve(wanted))
    return false;
  auto first = budget_.pool().take();
  if (!first) { // reserved, but its last holder (ingestion) has not let go of it yet
    budget_.release(wanted);
    return false;
  }
  if (have_ > 0)
    std::memcpy(first.data(), small_.data(), have_);
  buffers_.push_back(std::move(first));
  reserved_ = wanted;
  return true;
}

assembly frame_assembler::gather(byte_view& bytes) {
  const auto total = header_.payload_length;
  if (have_ < total) {
    if (bytes.empty())
      return assembly::need_more;
    if (!make_room(std::min<std::size_t>(bytes.size(), total - have_)))
      return assembly::no_memory;
  }
  const auto each = budget_.pool().buffer_bytes();
  while (have_ < total && !bytes.empty()) {
    std::byte* to = nullptr;
    std::size_t room = total - have_;
    if (reserved_ > 0) {
      const auto within = have_ % each;
      if (buffers_.size() * each == have_) {
        auto buffer = budget_.pool().take();
        if (!buffer) // its last holder has not let go of it yet
          return assembly::no_memory;
        buffers_.push_back(std::move(buffer));
      }
      to = buffers_.back().data() + within;
      room = std::min(room, each - within);
    } else {
      to = small_.data() + have_;
    }
    const auto take = std::min(room, bytes.size());
    std::memcpy(to, bytes.data(), take);
    running_crc_ = wire::checksum_update(kind(), running_crc_, {to, take});
    have_ += static_cast<std::uint32_t>(take);
    bytes = bytes.subspan(take);
  }
  if (have_ < total)
    return assembly::need_more;
  if (total > 0 && running_crc_ != header_.payload_crc)
    return give_up(verdict::bad_payload_crc);
  if (reserved_ > 0)
    for (std::size_t i = 0, left = total; i < buffers_.size(); ++i, left -= std::min(left, each))
      pieces_.push_back({buffers_[i].data(), std::min(left, each)});
  else if (total > 0)
    pieces_.push_back({small_.data(), total});
  gathering_ = false;
  delivered_ = true;
  return assembly::frame;
}

} // namespace lance::actors
