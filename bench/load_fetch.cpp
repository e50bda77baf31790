#include "bench/load_fetch.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "wire/checksum.hpp"
#include "wire/control.hpp"
#include "wire/frame.hpp"

namespace lance::bench {

namespace {

constexpr std::uint64_t verify_every = 64;
constexpr std::size_t heads_bytes = wire::frame_header_bytes + wire::fetch_head_bytes;

void verify(const wire::frame_header& header, byte_view head, byte_view data) {
  const auto kind = wire::checksum_kind::iso_hdlc;
  if (wire::checksum_update(kind, wire::checksum(kind, head), data) != header.payload_crc)
    give_up("a fetch response's checksum does not hold");
}

} // namespace

fetch_loop::fetch_loop(load_connection& connection, const fetch_plan& plan, std::uint64_t begin)
    : connection_(connection), plan_(plan), stride_(plan.fetch_bytes), begin_(begin),
      data_(plan.fetch_bytes) {
  // A broker that gives less than is asked for gives it always: requests are laid side by side.
  ask({0, static_cast<std::uint32_t>(std::min<std::uint64_t>(plan.log_bytes, stride_))});
  stride_ = take_reply();
  left_over_.clear();
  outcome_ = {};
}

bool fetch_loop::next_range(range& what) {
  if (!left_over_.empty()) {
    what = left_over_.front();
    left_over_.pop_front();
    return true;
  }
  if (asked_bytes_ == plan_.log_bytes) {
    if (plan_.once)
      return false;
    asked_bytes_ = 0;
  }
  what.begin = (begin_ + asked_bytes_) % plan_.log_bytes;
  const auto left = std::min(plan_.log_bytes - asked_bytes_, plan_.log_bytes - what.begin);
  what.bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(stride_, left));
  asked_bytes_ += what.bytes;
  return true;
}

void fetch_loop::ask(const range& what) {
  const auto payload =
      wire::encode(wire::fetch_request{plan_.log, byte_offset{what.begin}, what.bytes});
  std::array<std::byte, wire::frame_header_bytes + payload.size()> request{};
  (void)wire::encode_frame(wire::control_header(wire::command::fetch),
                           wire::checksum_kind::iso_hdlc, payload, request);
  under_way_.push_back({what, now_ns()});
  connection_.send_all(request);
}

// Returns the data bytes of the oldest request's reply.
std::uint32_t fetch_loop::take_reply() {
  std::array<std::byte, heads_bytes> heads{};
  connection_.receive_all(heads);
  const auto header = judged(heads);
  const auto asked = under_way_.front();
  under_way_.pop_front();
  if (wire::command_of(header) != wire::command::fetch_response ||
      header.payload_length <= wire::fetch_head_bytes ||
      header.payload_length > wire::fetch_head_bytes + asked.what.bytes)
    give_up("the log has no such bytes");
  const auto bytes = header.payload_length - static_cast<std::uint32_t>(wire::fetch_head_bytes);
  const auto data = byte_span{data_}.first(bytes);
  connection_.receive_all(data);
  outcome_.replies_taken.add(now_ns() - asked.sent_ns);
  if (outcome_.replies++ % verify_every == 0) {
    verify(header, byte_view{heads}.subspan(wire::frame_header_bytes), data);
    ++outcome_.verified;
  }
  outcome_.data_bytes += bytes;
  if (bytes < asked.what.bytes) {
    ++outcome_.short_replies;
    left_over_.push_back({asked.what.begin + bytes, asked.what.bytes - bytes});
  }
  return bytes;
}

fetch_outcome fetch_loop::run(std::uint64_t end_ns) {
  bool more = true;
  while (more || !under_way_.empty()) {
    range what;
    while (more && under_way_.size() < plan_.in_flight) {
      more = now_ns() < end_ns && next_range(what);
      if (more)
        ask(what);
    }
    if (!under_way_.empty())
      (void)take_reply();
    if (!more && plan_.once && !left_over_.empty())
      more = true; // the rest of a short last reply
  }
  return std::move(outcome_);
}

} // namespace lance::bench
