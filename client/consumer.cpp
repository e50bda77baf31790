#include "client/consumer.hpp"

#include <algorithm>
#include <thread>

#include "client/admin.hpp"
#include "wire/error_reply.hpp"

namespace lance::client {

namespace {

// A position beyond an end that does not move is a mistake after so many answers.
constexpr unsigned stuck_times_max = 3;

wire::lookup_kind lookup_kind_of(start_position::kind at) noexcept {
  switch (at) {
  case start_position::kind::latest:
    return wire::lookup_kind::latest;
  case start_position::kind::record:
    return wire::lookup_kind::record;
  case start_position::kind::time:
    return wire::lookup_kind::time_ns;
  default:
    return wire::lookup_kind::earliest;
  }
}

void sleep_until(deadline until, std::chrono::nanoseconds longest) {
  std::this_thread::sleep_for(std::min(until.left(), longest));
}

} // namespace

consumer::consumer(const consumer_options& options)
    : options_(options), connector_(options.connection), backoff_(options.connection.retry),
      walker_(options.framing) {
  constexpr std::chrono::milliseconds longest{wire::fetch_wait_ms_max};
  options_.fetch_wait = std::clamp(options.fetch_wait, std::chrono::milliseconds{0}, longest);
}

consumer::~consumer() = default;

// --- where to begin ------------------------------------------------------------------------------

outcome<> consumer::subscribe(const std::string& topic, const start_position& start,
                              std::uint32_t partition) {
  admin asking{options_.connection};
  const auto log = asking.resolve(topic, partition);
  if (!log)
    return tl::unexpected{log.error()};
  topic_ = topic;
  log_ = *log;
  return seek(start);
}

outcome<> consumer::seek(const start_position& start) {
  walker_.start_at(walker_.position()); // it may read from the channel's buffer
  disconnect();                         // a fetch in flight is for another place
  stuck_.reset();
  at_end_ = false;
  records_.clear();
  return find_start(start);
}

outcome<> consumer::find_start(const start_position& start) {
  if (start.at == start_position::kind::offset) {
    walker_.start_at(byte_offset{start.value});
    return {};
  }
  admin asking{options_.connection};
  auto found = asking.lookup(log_, lookup_kind_of(start.at), start.value);
  if (!found && found.error().code == errc::unsupported &&
      start.at == start_position::kind::earliest)
    found = wire::offset_lookup_reply{}; // v1: offset 0 is served from wherever the log begins
  if (!found) {
    found.error().topic = topic_;
    return tl::unexpected{found.error()};
  }
  const bool by_record = start.at == start_position::kind::record;
  walker_.start_at(found->offset, record_number{by_record ? start.value : 0});
  return {};
}

outcome<byte_offset> consumer::end() {
  admin asking{options_.connection};
  const auto found = asking.lookup(log_, wire::lookup_kind::latest);
  if (!found)
    return tl::unexpected{found.error()};
  return found->offset;
}

// --- reading -------------------------------------------------------------------------------------

outcome<std::span<const record>> consumer::poll(std::size_t max_records, deadline until) {
  records_.clear();
  std::optional<failure> trouble; // since the last answer
  while (true) {
    if (auto taken = take_records(max_records); !taken)
      return tl::unexpected{taken.error()};
    if (!records_.empty() || max_records == 0)
      return records_;
    const auto got = fetch(until);
    if (!got) {
      if (!got.error().retriable)
        return tl::unexpected{got.error()};
      const auto wait =
          std::max<std::chrono::nanoseconds>(backoff_.next(), asked_to_wait(got.error()));
      if (until.left() <= wait)
        return tl::unexpected{got.error()};
      trouble = got.error();
      std::this_thread::sleep_for(wait);
      continue;
    }
    if (!requested_) { // an answer came
      trouble.reset();
      backoff_.reset();
    }
    if (*got == progress::records)
      continue;
    if (trouble && until.passed())
      return tl::unexpected{std::move(*trouble)};
    if (until.passed() || (options_.fetch_wait.count() == 0 && !stuck_))
      return records_;
    if (plain_ || stuck_ || deadline::now_ns() < hurried_before_ns_)
      sleep_until(until, options_.idle_poll);
  }
}

outcome<> consumer::take_records(std::size_t max_records) {
  while (records_.size() < max_records) {
    auto found = walker_.next();
    if (!found)
      return refuse(errc::bad_format,
                    "the bytes at offset " + std::to_string(walker_.position().value) +
                        " are not a record; the topic may hold raw data",
                    channel_ ? channel_->node() : std::string{}, topic_);
    if (!*found)
      return {};
    records_.push_back(**found);
  }
  return {};
}

// One request and its answer, as far as they are not under way already.
outcome<consumer::progress> consumer::fetch(deadline until) {
  if (broken_)
    disconnect();
  if (auto ready = ensure_connected(); !ready)
    return tl::unexpected{ready.error()};
  if (!requested_) {
    if (auto sent = request(); !sent) {
      disconnect();
      return tl::unexpected{sent.error()};
    }
  }
  const auto reply = channel_->receive(deadline::earlier(until, answer_by_));
  if (!reply) {
    if (reply.error().code == errc::timed_out && !answer_by_.passed())
      return progress::nothing; // the server holds it; the next poll() waits on
    disconnect();
    return tl::unexpected{reply.error()};
  }
  requested_ = false;
  return take_reply(*reply);
}

outcome<> consumer::ensure_connected() {
  if (channel_)
    return {};
  auto fresh = connector_.connect(deadline::after(options_.connection.connect_timeout));
  if (!fresh)
    return tl::unexpected{fresh.error()};
  channel_ = std::move(*fresh);
  return {};
}

outcome<> consumer::request() {
  const auto now = deadline::now_ns();
  const auto wait = plain_ ? std::chrono::milliseconds{0} : options_.fetch_wait;
  answer_by_ = deadline::after(options_.connection.request_timeout + wait);
  hurried_before_ns_ =
      now + static_cast<std::uint64_t>(
                std::chrono::nanoseconds{std::min(wait, options_.idle_poll)}.count());
  auto sent =
      plain_
          ? post(wire::command::fetch,
                 wire::encode(wire::fetch_request{log_, walker_.fed(), options_.fetch_bytes}))
          : post(wire::command::fetch_batches, wire::encode(wire::fetch_batches_request{
                                                   log_, walker_.fed(), options_.fetch_bytes,
                                                   static_cast<std::uint32_t>(wait.count()), 1}));
  requested_ = sent.has_value();
  return sent;
}

outcome<> consumer::post(wire::command code, byte_view payload) {
  return channel_->post(wire::control_header(code), payload, answer_by_);
}

// --- answers -------------------------------------------------------------------------------------

outcome<consumer::progress> consumer::take_reply(const reply_frame& reply) {
  if (reply.is(wire::command::batches_reply))
    return take_batches(reply.payload);
  if (reply.is(wire::command::fetch_response))
    return take_stream(reply.payload);
  if (reply.is(wire::command::catching_up)) {
    const auto end = wire::decode_catching_up(reply.payload);
    return end ? beyond(*end) : unreadable();
  }
  if (!reply.is(wire::command::error_response))
    return unreadable();
  auto refused = failure_of_reply(reply.payload, channel_->node(), topic_);
  if (refused.code == errc::unsupported && !plain_) {
    plain_ = true; // a server of LWP v1
    return progress::records;
  }
  if (refused.code == errc::not_leader) {
    connector_.prefer(wire::parse_error(as_text(reply.payload)).leader);
    disconnect();
  }
  return tl::unexpected{std::move(refused)};
}

outcome<consumer::progress> consumer::take_batches(byte_view payload) {
  const auto batches = wire::batches_view::decode(payload);
  if (!batches)
    return unreadable();
  const auto& head = batches->head();
  if (head.batch_count == 0 && head.end < walker_.fed())
    return beyond(head.end);
  stuck_.reset();
  at_end_ = head.next >= head.end;
  if (head.batch_count == 0)
    return progress::nothing;
  if (head.next <= walker_.fed())
    return unreadable();
  walker_.feed(*batches);
  if (!at_end_)
    prefetch();
  return progress::records;
}

outcome<consumer::progress> consumer::take_stream(byte_view payload) {
  const auto reply = wire::decode_fetch_reply(payload);
  if (!reply || reply->head.next.value < reply->data.size())
    return unreadable();
  stuck_.reset();
  at_end_ = reply->data.empty();
  if (at_end_)
    return progress::nothing;
  walker_.feed_stream(byte_offset{reply->head.next.value - reply->data.size()}, reply->data);
  return progress::records;
}

outcome<consumer::progress> consumer::beyond(byte_offset end) {
  stuck_times_ = stuck_ == end ? stuck_times_ + 1 : 1;
  stuck_ = end;
  if (stuck_times_ < stuck_times_max)
    return progress::nothing;
  return refuse(errc::offset_out_of_range,
                "offset " + std::to_string(walker_.fed().value) + " is beyond the end, " +
                    std::to_string(end.value),
                channel_->node(), topic_);
}

// There is more: have it under way while what is here is worked on.
void consumer::prefetch() {
  broken_ = !request(); // the walker still reads from the channel's buffer
}

void consumer::disconnect() {
  channel_.reset();
  broken_ = false;
  requested_ = false;
}

tl::unexpected<failure> consumer::unreadable() {
  auto what = network_failure({errc::bad_frame, 0}, "fetching",
                              channel_ ? channel_->node() : std::string{});
  disconnect();
  return tl::unexpected{std::move(what)};
}

} // namespace lance::client
