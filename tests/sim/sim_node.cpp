#include "tests/sim/sim_node.hpp"

#include <algorithm>

#include "wire/checksum.hpp"
#include "wire/error_reply.hpp"

namespace lance::sim {

namespace {

constexpr std::size_t waiting_max = 24; // frames; beyond, the sender is asked to slow down

} // namespace

sim_node::sim_node(const node_world& around)
    : around_(around), timers_(around.loop), helper_(around.loop, around.random),
      cache_(around.chosen.tail_cache_bytes), recycled_(around.recycle_bytes),
      reread_(around.reread_bytes), reader_(around.read_pool, around.chosen) {
  environment_.door = &around_.disk;
  environment_.cache = &cache_;
  environment_.clock = &around_.loop.clock;
  environment_.helper = &helper_;
  environment_.owner = this;
  environment_.recycled = &recycled_;
  environment_.reread = &reread_;
  environment_.quarantine = "data/quarantine";
  environment_.chosen = around_.chosen;
}

sim_node::~sim_node() {
  for (const auto& one : readers_)
    one->stop();
  around_.disk.cancel_reads();
  readers_.clear();
  for (const auto& one : sessions_)
    one->line->hang_up(sim_connection::end::server);
}

bool sim_node::open() {
  for (const auto& world : around_.logs) {
    auto policy = world->policy;
    policy.lift_fence = world->lift_fence;
    auto opened = storage::log::open(environment_, policy);
    around_.told.note("opened", {policy.log.value, opened ? 1U : 0U, policy.lift_fence ? 1U : 0U});
    if (!opened) {
      if (opened.error().code != errc::io_failed)
        world->history.report("acknowledged stays", "does not open");
      return false;
    }
    if (around_.disk.dead())
      return false;
    world->history.reopened(**opened);
    world->retention.reopened(**opened);
    logs_.push_back(
        std::make_unique<sim_log>(*world, std::move(*opened), environment_, around_.append_pool));
  }
  return true;
}

void sim_node::run() {
  using habit = sim_reader::habit;
  for (const auto& one : logs_)
    for (const auto how : {habit::follow, habit::audit, habit::wander}) {
      readers_.push_back(std::make_unique<sim_reader>(
          how, *one, reader_, around_.loop, around_.random, around_.counted, around_.told));
      readers_.back()->go();
    }
  tick();
  look_at_retention();
  settle_soon();
}

bool sim_node::all_read() const {
  return std::ranges::all_of(readers_, [](const auto& one) { return one->at_end(); });
}

bool sim_node::any_fenced() const {
  return std::ranges::any_of(
      logs_, [](const auto& one) { return one->log().state() == storage::log_state::fenced; });
}

// -- connections ---------------------------------------------------------------------------------

void sim_node::accept(const std::shared_ptr<sim_connection>& line) {
  auto from = std::make_shared<session>(line);
  sessions_.push_back(from);
  line->listen(sim_connection::end::server,
               {[this, weak = std::weak_ptr{from}](byte_view bytes) {
                  if (const auto here = weak.lock())
                    hear(here, bytes);
                },
                [this, weak = std::weak_ptr{from}] { std::erase(sessions_, weak.lock()); }});
}

void sim_node::hear(const std::shared_ptr<session>& from, byte_view bytes) {
  auto& received = from->received;
  received.insert(received.end(), bytes.begin(), bytes.end());
  std::size_t done = 0;
  for (;;) {
    const auto cut = from->cutter.next(byte_view{received}.subspan(done));
    if (cut.outcome != wire::verdict::ok)
      break;
    done += cut.consumed;
    take(from, cut);
  }
  received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(done));
  append_waiting();
  settle_soon();
}

void sim_node::take(const std::shared_ptr<session>& from, const wire::frame_cut& cut) {
  const auto number = from->first_ticket + from->tickets.size();
  from->tickets.emplace_back();
  if (wire::classify(cut.header) == wire::frame_kind::control) {
    from->producer = *wire::decode_producer(cut.payload);
    return answer(from, number, wire::control_header(wire::command::producer_registered),
                  cut.payload);
  }
  if (waiting_.size() >= waiting_max)
    return answer(from, number, wire::backpressure_header());
  storage::producer_stamp stamp;
  if (from->producer.producer != 0)
    stamp = {from->producer.producer, from->producer.epoch, cut.header.batch_id};
  waiting_.push_back({from, number, stamp, cut.header, {cut.payload.begin(), cut.payload.end()}});
}

// Replies leave in the order of the requests.
void sim_node::answer(const std::weak_ptr<session>& to, std::uint64_t number,
                      const wire::frame_header& with, byte_view payload) {
  const auto here = to.lock();
  if (!here)
    return;
  auto& mine = here->tickets[number - here->first_ticket];
  mine.answered = true;
  mine.reply.resize(wire::frame_header_bytes + payload.size());
  wire::encode_frame(with, wire::checksum_kind::iso_hdlc, payload, mine.reply);
  while (!here->tickets.empty() && here->tickets.front().answered) {
    here->line->send(sim_connection::end::server, std::move(here->tickets.front().reply));
    here->tickets.pop_front();
    ++here->first_ticket;
  }
}

// -- ingestion -----------------------------------------------------------------------------------

void sim_node::append_waiting() {
  while (!waiting_.empty() && append(waiting_.front()))
    waiting_.pop_front();
}

// False: no room at the moment.
bool sim_node::append(const incoming& what) {
  const auto& header = what.header;
  auto& slot = *logs_[header.topic_id - 1];
  const auto sent = around_.sent.find(header.topic_id, what.payload);
  if (!sent) {
    slot.world().history.report("nothing from nowhere", "a frame that nobody sent was taken");
    return true;
  }
  const byte_view piece{what.payload};
  storage::append_request request;
  request.payload = {&piece, 1};
  request.payload_crc = header.payload_crc;
  request.payload_sum = wire::checksum_kind::iso_hdlc;
  request.record_count = header.record_count;
  request.wall_ns = around_.loop.clock.wall_ns();
  const auto done = [this, to = what.from, number = what.ticket,
                     batch_id = header.batch_id](bool durable) {
    if (durable)
      return answer(to, number, wire::ack_header(batch_id));
    const auto text = wire::error_text(errc::io_failed);
    answer(to, number, wire::control_header(wire::command::error_response), as_bytes(text));
  };
  request.producer_id = what.producer.producer;
  request.producer_epoch = what.producer.epoch;
  request.producer_sequence = what.producer.sequence;
  switch (slot.judge(what.producer, request.wall_ns, done)) {
  case storage::producer_verdict::fresh:
    break;
  case storage::producer_verdict::duplicate:
    around_.counted.note(fault::batch_repeated);
    return true;
  case storage::producer_verdict::gap:
    refuse(what, errc::out_of_sequence);
    return true;
  case storage::producer_verdict::unknown:
    refuse(what, errc::unknown_producer);
    return true;
  default:
    refuse(what, errc::fenced);
    return true;
  }
  auto appended = slot.append(request, *sent, done);
  if (!appended && appended.error().code == errc::exhausted) {
    slot.settle(around_.loop.now_ns());
    for (const auto& each : logs_)
      each->release_idle();
    cache_.shrink_to(0);
    appended = slot.append(request, *sent, done);
  }
  if (appended)
    return true;
  if (appended.error().code == errc::exhausted)
    return false;
  refuse(what, appended.error().code);
  return true;
}

void sim_node::refuse(const incoming& what, errc why) {
  const auto text = wire::error_text(why);
  answer(what.from, what.ticket, wire::control_header(wire::command::error_response),
         as_bytes(text));
}

// -- turns ---------------------------------------------------------------------------------------

void sim_node::settle_soon() {
  if (std::exchange(settling_, true))
    return;
  timers_.after(around_.random.between(1 * us_in_ns, 40 * us_in_ns), [this] {
    settling_ = false;
    settle();
  });
}

void sim_node::settle() {
  for (const auto& one : logs_)
    one->settle(around_.loop.now_ns());
  append_waiting();
  for (const auto& one : logs_)
    one->settle(around_.loop.now_ns());
}

void sim_node::tick() {
  for (const auto& one : logs_)
    one->tick(around_.loop.now_ns());
  settle_soon();
  timers_.after(around_.chosen.tick_ns, [this] { tick(); });
}

void sim_node::look_at_retention() {
  for (const auto& one : logs_)
    one->enforce_retention(around_.loop.clock.wall_ns());
  settle_soon();
  timers_.after(around_.random.between(5 * ms_in_ns, 60 * ms_in_ns),
                [this] { look_at_retention(); });
}

} // namespace lance::sim
