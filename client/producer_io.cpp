#include "client/producer_io.hpp"

#include <algorithm>
#include <array>

#include "runtime/check.hpp"
#include "wire/compress.hpp"

namespace lance::client {

namespace {

constexpr std::uint64_t no_event = ~std::uint64_t{0};

// Frames handed to the kernel in one call.
constexpr std::size_t gather_max = 16;

// In the header: the one field that changes when a batch is sent again.
constexpr std::size_t batch_id_at = 12;

std::uint64_t ns_of(std::chrono::nanoseconds span) noexcept {
  return static_cast<std::uint64_t>(span.count());
}

} // namespace

producer_io::producer_io(producer_shared& shared)
    : shared_(shared), connector_(shared.options.connection),
      backoff_(shared.options.connection.retry),
      window_(shared.options.in_flight_max, shared.options.on_unknown, shared.options.idempotent) {}

void producer_io::run() {
  while (collect()) {
    look_at_the_time();
    if (!channel_)
      connect();
    if (channel_)
      send();
    if (channel_)
      receive();
    if (window_.wants_epoch())
      begin_epoch();
    finish_completed();
    sleep();
  }
  window_.abandon(last_problem_);
  finish_completed();
}

// Moves what is complete from the senders' side to the window. False: the end.
bool producer_io::collect() {
  const std::lock_guard guard{shared_.lock};
  auto& gathered = shared_.gathered;
  const bool hurry = shared_.hurry != 0 || shared_.ending;
  if (hurry || window_.has_room())
    gathered.seal_expired(deadline::now_ns(), hurry);
  for (auto& batch : gathered.sealed())
    window_.push(std::move(batch));
  gathered.sealed().clear();
  // With a full window nothing is sealed for its age: the next answer brings us back here.
  look_at_ns_ = window_.has_room() ? gathered.next_expiry_ns() : 0;
  shared_.look_at_ns = look_at_ns_;
  return !shared_.ending;
}

// --- connecting ----------------------------------------------------------------------------------

void producer_io::connect() {
  if (!window_.has_ready() || deadline::now_ns() < paused_until_ns_)
    return;
  auto fresh = connector_.connect(deadline::after(shared_.options.connection.connect_timeout));
  if (!fresh) {
    last_problem_ = fresh.error();
    pause();
    return;
  }
  if (const auto known = register_producer(**fresh); !known) {
    last_problem_ = known.error();
    if (!last_problem_.retriable)
      window_.abandon(last_problem_);
    pause();
    return;
  }
  channel_ = std::move(*fresh);
  last_reply_ns_ = deadline::now_ns();
  ++connects_;
}

// Says whose batches come on this connection. Nothing is in flight on it.
outcome<> producer_io::register_producer(channel& line) {
  const auto& options = shared_.options;
  if (!options.idempotent)
    return {};
  const auto asked = wire::encode(wire::producer_identity{producer_, window_.epoch()});
  const auto reply = line.call(wire::control_header(wire::command::register_producer), asked,
                               deadline::after(options.connection.connect_timeout));
  if (!reply)
    return tl::unexpected{reply.error()};
  if (reply->is(wire::command::error_response)) {
    auto why = failure_of_reply(reply->payload, line.node());
    if (why.code == errc::invalid_request)
      why = {errc::unsupported, false, line.node(), {}, "knows no idempotent producers"};
    return tl::unexpected{std::move(why)};
  }
  const auto named = wire::decode_producer(reply->payload);
  if (!reply->is(wire::command::producer_registered) || !named || named->producer == 0)
    return line.lost({errc::bad_frame, 0}, "registering");
  producer_ = named->producer;
  return {};
}

void producer_io::begin_epoch() {
  window_.begin_epoch();
  if (!channel_)
    return; // the next connection is registered with it
  if (const auto known = register_producer(*channel_); !known)
    drop(known.error());
}

void producer_io::drop(const failure& why) {
  const bool busy = window_.in_flight() != 0;
  last_problem_ = why;
  channel_.reset();
  frames_.clear();
  window_.on_lost(why);
  if (busy) { // an idle connection that was closed is no trouble
    connector_.skip();
    pause();
  }
}

void producer_io::pause() {
  paused_until_ns_ = deadline::now_ns() + ns_of(backoff_.next());
}

// --- sending -------------------------------------------------------------------------------------

void producer_io::send() {
  while (true) {
    take_frames();
    if (frames_.empty())
      return;
    std::array<byte_view, gather_max> parts;
    std::size_t count = 0;
    for (const auto& frame : frames_) {
      if (count == parts.size())
        break;
      parts[count++] = byte_view{frame.batch->frame}.subspan(frame.sent);
    }
    const auto sent = channel_->line().send(std::span{parts}.first(count));
    if (!sent)
      return drop(network_failure(sent.error(), "sending", channel_->node()));
    if (*sent == 0)
      return;
    advance(*sent);
  }
}

void producer_io::take_frames() {
  const auto now = deadline::now_ns();
  if (now < paused_until_ns_)
    return;
  std::uint64_t batch_id = 0;
  while (auto* batch = window_.take(batch_id)) {
    prepare(*batch, batch_id);
    batch->sent_ns = now;
    frames_.push_back({batch, 0});
  }
}

// Once per batch: compression, checksums, header. Every time: the id.
void producer_io::prepare(outgoing_batch& batch, std::uint64_t batch_id) {
  auto& frame = batch.frame;
  if (!batch.finished) {
    constexpr auto head = wire::frame_header_bytes;
    auto header = wire::ingest_header(batch.topic->log, batch_id, runtime::real_clock{}.wall_ns(),
                                      batch.records);
    batch.payload_bytes_plain = batch.payload_bytes();
    if (shared_.options.lz4 && batch.payload_bytes() >= wire::compress_from_bytes) {
      const auto envelope = wire::encode_lz4(byte_view{frame}.subspan(head));
      if (envelope && envelope->size() < batch.payload_bytes()) {
        frame.resize(head);
        frame.insert(frame.end(), envelope->begin(), envelope->end());
        header.flags |= wire::flag::compressed;
      }
    }
    const auto kind = channel_->kind();
    wire::encode_header(wire::seal(header, kind, byte_view{frame}.subspan(head)), kind,
                        frame.data());
    batch.finished = true;
  }
  store_le(frame.data() + batch_id_at, batch_id);
}

void producer_io::advance(std::size_t sent) {
  while (sent != 0) {
    auto& first = frames_.front();
    const auto of_first = std::min(sent, first.batch->frame.size() - first.sent);
    first.sent += of_first;
    sent -= of_first;
    if (first.sent == first.batch->frame.size()) {
      first.batch->sent = true;
      frames_.pop_front();
    }
  }
}

// --- answers -------------------------------------------------------------------------------------

void producer_io::receive() {
  while (channel_) {
    const auto reply = channel_->try_receive();
    if (!reply)
      return drop(reply.error());
    if (!*reply)
      return;
    last_reply_ns_ = deadline::now_ns();
    // A reply to a frame that is not wholly sent would land a batch we still write from.
    const bool early = !frames_.empty() && window_.in_flight() == frames_.size();
    act_on(early ? send_window::verdict::broken : window_.on_reply(**reply, channel_->node()));
  }
}

void producer_io::act_on(send_window::verdict asked) {
  switch (asked) {
  case send_window::verdict::go_on:
    backoff_.reset();
    break;
  case send_window::verdict::pause:
    pause();
    paused_until_ns_ =
        std::max(paused_until_ns_, deadline::now_ns() + ns_of(window_.asked_to_wait()));
    break;
  case send_window::verdict::redirect: {
    const auto leader = window_.leader();
    drop(network_failure({errc::not_leader, 0}, "sending", channel_->node()));
    connector_.prefer(leader);
    break;
  }
  case send_window::verdict::broken:
    drop(network_failure({errc::bad_frame, 0}, "receiving", channel_->node()));
    break;
  }
}

// --- time ----------------------------------------------------------------------------------------

void producer_io::look_at_the_time() {
  const auto now = deadline::now_ns();
  const auto& options = shared_.options;
  const auto patience = ns_of(options.connection.request_timeout);
  if (channel_ && window_.in_flight() != 0 &&
      now >= std::max(window_.oldest_sent_ns(), last_reply_ns_) + patience)
    drop(network_failure({errc::timed_out, 0}, "waiting for an acknowledgement", channel_->node()));
  const auto longest = ns_of(options.delivery_timeout);
  if (now > longest)
    window_.expire(now - longest, last_problem_);
}

std::uint64_t producer_io::next_event_ns() const {
  const auto& options = shared_.options;
  auto soonest = look_at_ns_ != 0 ? look_at_ns_ : no_event;
  if (window_.has_ready()) {
    soonest = std::min(soonest, window_.oldest_ready_ns() + ns_of(options.delivery_timeout) + 1);
    if (!channel_ || window_.can_take())
      soonest = std::min(soonest, paused_until_ns_);
  }
  if (window_.in_flight() != 0)
    soonest = std::min(soonest, std::max(window_.oldest_sent_ns(), last_reply_ns_) +
                                    ns_of(options.connection.request_timeout));
  return soonest;
}

void producer_io::sleep() {
  if (look_at_ns_ == 0 && window_.has_room())
    return; // answers made room: look at what the senders have, which they did not wake us for
  const auto until = deadline::at_ns(next_event_ns());
  if (!channel_) {
    shared_.wake.wait(until);
  } else if (const auto ready =
                 channel_->line().wait(frames_.empty() ? interest::receive : interest::both, until,
                                       shared_.wake.descriptor());
             !ready) {
    drop(network_failure(ready.error(), "waiting", channel_->node()));
  }
  shared_.wake.clear();
}

// --- ends ----------------------------------------------------------------------------------------

void producer_io::finish_completed() {
  auto& completed = window_.completed();
  if (completed.empty() && shared_.stats.connects == connects_)
    return;
  {
    const std::lock_guard guard{shared_.lock};
    shared_.stats.resent = window_.resent();
    shared_.stats.connects = connects_;
    for (auto& done : completed)
      finish(done);
  }
  completed.clear();
  shared_.changed.notify_all();
}

void producer_io::finish(completed_batch& done) {
  auto& stats = shared_.stats;
  auto& batch = *done.batch;
  const auto latency = deadline::now_ns() - batch.begun_ns;
  switch (done.fate) {
  case fate::acknowledged:
    stats.acknowledged += batch.records;
    stats.batches += 1;
    stats.payload_bytes += batch.payload_bytes_plain;
    stats.ack_latency.record(latency, batch.records);
    break;
  case fate::refused:
    stats.refused += batch.records;
    break;
  case fate::unknown:
    stats.unknown += batch.records;
    break;
  }
  if (done.problem && !shared_.first_failure)
    shared_.first_failure = done.problem;
  if (batch.callbacks.empty())
    shared_.release_locked(std::move(done.batch));
  else
    shared_.callbacks.push(std::move(done), latency);
}

} // namespace lance::client
