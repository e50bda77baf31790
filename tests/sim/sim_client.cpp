#include "tests/sim/sim_client.hpp"

#include <algorithm>

#include "wire/batch_commands.hpp"
#include "wire/frame.hpp"

namespace lance::sim {

using client::fate;
using verdict = client::send_window::verdict;

namespace {

constexpr std::uint64_t unfinished_max = 200;
constexpr std::uint64_t patience_ns = 800 * ms_in_ns;
constexpr std::uint64_t delivery_limit_ns = 8 * s_in_ns;
constexpr std::size_t batch_id_at = 12;
const client::failure lost{errc::closed, true, "node", {}, "lost"};

} // namespace

sim_client::sim_client(const sim_client_shape& shape, event_loop& loop, random_stream random,
                       deliveries& sent, trace& told, dialler dial)
    : shape_(shape), loop_(loop), timers_(loop), random_(random), sent_(sent), told_(told),
      dial_(std::move(dial)),
      gathered_({.batch_bytes = shape.batch_bytes, .linger_ns = 1 * ms_in_ns}),
      window_(shape.window, shape.rule, shape.idempotent) {
  for (std::size_t i = 0; i < shape.logs; ++i)
    topics_.push_back({"t" + std::to_string(i + 1), 0, log_id{static_cast<std::uint32_t>(i + 1)}});
  timers_.after(1, [this] { produce(); });
  timers_.after(1 * ms_in_ns, [this] { watch(); });
}

sim_client::~sim_client() {
  if (line_)
    line_->hang_up(sim_connection::end::client);
}

void sim_client::stop() {
  stopped_ = true;
  gathered_.seal_expired(loop_.now_ns(), true);
  wake();
}

// -- records -------------------------------------------------------------------------------------

void sim_client::produce() {
  if (stopped_)
    return;
  for (auto burst = random_.between(1, 4); burst > 0 && unfinished_ < unfinished_max; --burst)
    add_record();
  wake();
  timers_.after(random_.between(1, shape_.pause_ns), [this] { produce(); });
}

void sim_client::add_record() {
  const auto number = sent_.record_begun();
  const auto longest = random_.below(16) == 0 ? 5'000 : 600;
  std::vector<std::byte> value(random_.between(sizeof number, longest));
  store_le(value.data(), number);
  random_stream filler{number, shape_.number};
  for (std::size_t at = sizeof number; at < value.size(); ++at)
    value[at] = static_cast<std::byte>(filler.next());
  ++unfinished_;
  gathered_.add(
      topics_[random_.below(topics_.size())], std::nullopt, value,
      [this, number](const client::delivery&) {
        sent_.record_ended(number);
        --unfinished_;
      },
      loop_.now_ns());
}

// -- the loop of producer_io, a turn at a time ---------------------------------------------------

void sim_client::wake() {
  if (window_.has_room())
    gathered_.seal_expired(loop_.now_ns());
  for (auto& batch : gathered_.sealed())
    window_.push(std::move(batch));
  gathered_.sealed().clear();
  connect();
  send();
  finish_completed();
}

void sim_client::watch() {
  const auto now = loop_.now_ns();
  const bool waits = registering_ || window_.in_flight() != 0;
  const auto since =
      registering_ ? last_reply_ns_ : std::max(window_.oldest_sent_ns(), last_reply_ns_);
  if (line_ && waits && now >= since + patience_ns)
    drop();
  if (now > delivery_limit_ns)
    window_.expire(now - delivery_limit_ns, {errc::timed_out, true, "node", {}, "too late"});
  wake();
  timers_.after(1 * ms_in_ns, [this] { watch(); });
}

void sim_client::connect() {
  if (line_ || !window_.has_ready() || loop_.now_ns() < paused_until_ns_)
    return;
  line_ = dial_();
  if (!line_)
    return pause();
  received_.clear();
  last_reply_ns_ = loop_.now_ns();
  line_->listen(sim_connection::end::client,
                {[this](byte_view bytes) { hear(bytes); }, [this] { drop(); }});
  if (shape_.idempotent)
    register_producer();
}

void sim_client::register_producer() {
  registering_ = true;
  last_reply_ns_ = loop_.now_ns();
  const auto who = wire::encode(wire::producer_identity{shape_.number + 1, window_.epoch()});
  std::vector<std::byte> frame(wire::frame_header_bytes + who.size());
  wire::encode_frame(wire::control_header(wire::command::register_producer),
                     wire::checksum_kind::iso_hdlc, who, frame);
  line_->send(sim_connection::end::client, std::move(frame));
}

void sim_client::drop() {
  if (!line_)
    return;
  line_->hang_up(sim_connection::end::client);
  line_.reset();
  registering_ = false;
  window_.on_lost(lost);
  pause();
  finish_completed();
}

void sim_client::pause() {
  paused_until_ns_ = loop_.now_ns() + random_.between(1 * ms_in_ns, 30 * ms_in_ns);
}

void sim_client::send() {
  if (window_.wants_epoch()) {
    window_.begin_epoch();
    if (line_)
      register_producer();
  }
  std::uint64_t batch_id = 0;
  while (line_ && !registering_ && loop_.now_ns() >= paused_until_ns_) {
    auto* batch = window_.take(batch_id);
    if (batch == nullptr)
      return;
    prepare(*batch, batch_id);
    batch->sent_ns = loop_.now_ns();
    const auto& frame = batch->frame;
    const auto cut = random_.coin() ? random_.below(frame.size()) : 0;
    const auto begin = frame.begin() + static_cast<std::ptrdiff_t>(cut);
    line_->send(sim_connection::end::client, {frame.begin(), begin});
    line_->send(sim_connection::end::client, {begin, frame.end()});
    batch->sent = true;
    sent_.sent(known_.at(batch->sequence));
  }
}

void sim_client::prepare(client::outgoing_batch& batch, std::uint64_t batch_id) {
  constexpr auto kind = wire::checksum_kind::iso_hdlc;
  auto& frame = batch.frame;
  if (!batch.finished) {
    const auto payload = byte_view{frame}.subspan(wire::frame_header_bytes);
    const auto header =
        wire::ingest_header(batch.topic->log, batch_id, loop_.clock.wall_ns(), batch.records);
    wire::encode_header(wire::seal(header, kind, payload), kind, frame.data());
    batch.finished = true;
    known_[batch.sequence] = sent_.begun({.client = shape_.number,
                                          .sequence = batch.sequence,
                                          .log = batch.topic->log.value,
                                          .records = batch.records,
                                          .payload = {payload.begin(), payload.end()}});
  }
  store_le(frame.data() + batch_id_at, batch_id);
}

// -- answers -------------------------------------------------------------------------------------

void sim_client::hear(byte_view bytes) {
  received_.insert(received_.end(), bytes.begin(), bytes.end());
  std::size_t done = 0;
  wire::frame_cutter cutter{4 * KiB, wire::checksum_kind::iso_hdlc};
  while (line_) {
    const auto cut = cutter.next(byte_view{received_}.subspan(done));
    if (cut.outcome != wire::verdict::ok)
      break;
    done += cut.consumed;
    last_reply_ns_ = loop_.now_ns();
    if (!std::exchange(registering_, false))
      act_on(window_.on_reply({cut.header, cut.payload}, "node"));
  }
  if (line_)
    received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(done));
  wake();
}

void sim_client::act_on(verdict asked) {
  if (asked == verdict::pause)
    pause();
  else if (asked != verdict::go_on)
    drop();
}

void sim_client::finish_completed() {
  auto completed = std::exchange(window_.completed(), {});
  for (auto& done : completed) {
    auto& batch = *done.batch;
    told_.note("end", {shape_.number, batch.sequence, static_cast<std::uint64_t>(done.fate)});
    if (const auto known = known_.find(batch.sequence); known != known_.end()) {
      sent_.ended(known->second, done.fate);
      known_.erase(known);
    }
    for (const auto& tell : batch.callbacks)
      tell({done.fate, batch.topic->name, 0, done.problem});
    gathered_.recycle(std::move(done.batch));
  }
}

} // namespace lance::sim
