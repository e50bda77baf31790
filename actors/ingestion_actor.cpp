#include "actors/ingestion_actor.hpp"

#include <algorithm>
#include <utility>

#include "runtime/check.hpp"

namespace lance::actors {

using runtime::counter;
using runtime::histogram;

ingestion_actor::ingestion_actor(caf::actor_config& config, const ingestion_options& options,
                                 ingestion_memory& memory, runtime::metric_set& metrics)
    : resident_actor<>(config), options_(options), memory_(memory), metrics_(metrics) {}

// Buffers and messages may come back after their user has gone.
ingestion_actor::~ingestion_actor() {
  memory_.chunks->on_return(nullptr, nullptr);
  memory_.sealed_messages.on_return(nullptr, nullptr);
  memory_.outcome_messages.on_return(nullptr, nullptr);
}

caf::behavior ingestion_actor::make_behavior() {
  memory_.chunks->on_return(&ingestion_actor::feed, this);
  memory_.sealed_messages.on_return(&ingestion_actor::feed, this);
  memory_.outcome_messages.on_return(&ingestion_actor::feed, this);
  set_default_handler(caf::drop);
  return {
      [this](shard_routes& routes) {
        routes_ = std::move(routes);
        refusals_.resize(routes_.networks.size());
      },
      [this](runtime::message_ref<frames>& message) { waiting_.push(std::move(message)); },
      [this](append_entry& entry) { entries_.push_back(std::move(entry)); },
      [this](const log_absent& what) { absent_[what.log.value] = what.why; },
      [this](unfence_log& wanted) { unfence(wanted); },
      [this](const log_ready& ready) {
        blocked_ = false;
        absent_.erase(ready.start->log.value);
        logs_.erase(ready.start->log.value);
        logs_.try_emplace(
            ready.start->log.value, *ready.start, options_.storage, *memory_.chunks,
            storage::stamp_identity{options_.node, static_cast<std::uint8_t>(options_.shard)});
        if (ready.requester)
          send(ready.requester, log_opened{ready.start->log, ready.cookie, true, errc{}});
      },
      [this](const log_grant& granted) {
        if (auto found = logs_.find(granted.log.value); found != logs_.end())
          found->second.appender.set_grant(granted.grant);
        blocked_ = false;
      },
      [this](const disk_changed& what) {
        stopped_ = what.level == storage::disk_level::stop_writes;
        blocked_ = false;
      },
      [this](const end_segment& wanted) {
        auto found = logs_.find(wanted.log.value);
        if (found == logs_.end())
          return;
        auto& slot = found->second;
        const auto ended = slot.appender.end_segment();
        if (!ended)
          return;
        slot.ended = ended;
        touch(slot);
      },
      [this](delete_log& gone) {
        blocked_ = false; // what waits at the front may have waited for this log
        seal();           // what was appended is written and acknowledged before the log goes
        forget(gone.log.value, errc::topic_not_found);
        absent_.erase(gone.log.value);
        send(routes_.poller, std::move(gone));
      },
  };
}

// Batches that could not be handed on are refused.
void ingestion_actor::forget(std::uint32_t log, errc why) {
  auto found = logs_.find(log);
  if (found == logs_.end())
    return;
  auto& slot = found->second;
  for (auto at = slot.acks_sent; at < slot.acks.size(); ++at)
    refuse(slot.acks[at].to, log_id{log}, why);
  std::erase(touched_, &slot);
  logs_.erase(found);
}

// The log that is opened again begins with other numbers: no run of this appender may reach it.
void ingestion_actor::unfence(unfence_log& wanted) {
  const auto log = wanted.again.policy.log.value;
  const auto found = logs_.find(log);
  wanted.quiet =
      found == logs_.end() || found->second.appender.state() == storage::log_state::fenced;
  if (found != logs_.end() && wanted.quiet) {
    blocked_ = false;
    seal();
    forget(log, errc::io_failed);
    absent_[log] = errc::log_opening;
  }
  send(routes_.poller, std::move(wanted));
}

void ingestion_actor::on_exit() {
  routes_ = {};
}

void ingestion_actor::feed(void* self) {
  auto* actor = static_cast<ingestion_actor*>(self);
  actor->fed_.store(true, std::memory_order_release);
  actor->home_lane().notify();
}

bool ingestion_actor::ready() const {
  return resident_actor<>::ready() || fed_.load(std::memory_order_acquire);
}

bool ingestion_actor::poll() {
  const auto got = take_messages();
  if (got == mail::ended)
    return true;
  const bool fed = fed_.load(std::memory_order_relaxed) && fed_.exchange(false);
  if (got == mail::none && !fed)
    return false;
  if (fed)
    blocked_ = false;
  append_entries();
  append_waiting();
  seal();
  send_refusals();
  return true;
}

bool ingestion_actor::append_entries() {
  while (!blocked_ && !entries_.empty()) {
    auto& entry = entries_.front();
    incoming_batch batch;
    batch.from = {.network = reply_address::internal, .ticket = entry.cookie};
    batch.log = entry.log;
    batch.record_count = 1;
    batch.payload_bytes = static_cast<std::uint32_t>(entry.payload.size());
    batch.payload_crc = wire::checksum(batch.kind, entry.payload);
    const byte_view piece{entry.payload};
    if (!append(batch, {&piece, 1}, 0))
      return false;
    entries_.pop_front();
  }
  return true;
}

bool ingestion_actor::append_waiting() {
  while (!blocked_ && !waiting_.empty()) {
    auto& message = *waiting_.front();
    while (message.taken < message.batches.size()) {
      const auto& batch = message.batches[message.taken];
      const std::span<const byte_view> pieces{message.pieces.data() + batch.first_piece,
                                              batch.piece_count};
      if (!append(batch, pieces, message.received_ns))
        return false;
      ++message.taken;
    }
    waiting_.pop();
  }
  return true;
}

bool ingestion_actor::append(const incoming_batch& batch, std::span<const byte_view> pieces,
                             std::uint64_t received_ns) {
  auto found = logs_.find(batch.log.value);
  if (found == logs_.end()) {
    const auto absent = absent_.find(batch.log.value);
    refuse(batch.from, batch.log, absent == absent_.end() ? errc::topic_not_found : absent->second);
    return true;
  }
  auto& slot = found->second;
  if (batch.producer.producer != 0 && judge(slot, batch))
    return true;
  if (stopped_ && batch.from.network != reply_address::internal) {
    refuse(batch.from, batch.log, errc::read_only);
    return true;
  }
  // record 4/9: stamped, and copied once into the image of the segment
  storage::append_request request;
  request.payload = pieces;
  request.payload_crc = batch.payload_crc;
  request.payload_sum = batch.kind;
  request.record_count = batch.record_count;
  request.flags = static_cast<std::uint16_t>(
      (batch.control ? storage::batch_flag::control : 0) |
      (batch.source_compressed ? storage::batch_flag::source_compressed : 0));
  request.producer_id = batch.producer.producer;
  request.producer_epoch = batch.producer.epoch;
  request.producer_sequence = batch.producer.sequence;
  request.wall_ns = home_lane().time().wall_ns();
  auto sealed_at = slot.appender.append(request);
  if (!sealed_at && sealed_at.error().code == errc::exhausted) {
    // Either the last runs are not collected, or the pool is dry, or a grant is under way.
    seal();
    make_room();
    sealed_at = slot.appender.append(request);
  }
  if (!sealed_at) {
    if (sealed_at.error().code == errc::exhausted) {
      blocked_ = true;
      metrics_.add(counter::pool_exhausted);
      return false;
    }
    const auto why = sealed_at.error().code;
    const bool fenced = slot.appender.state() == storage::log_state::fenced;
    refuse(batch.from, batch.log, why == errc::read_only && fenced ? errc::log_fenced : why);
    return true;
  }
  slot.acks.push_back({batch.from, sealed_at->header.number});
  slot.received_ns = received_ns;
  touch(slot);
  metrics_.add(counter::records_ingested, batch.record_count);
  metrics_.add(counter::bytes_ingested, batch.payload_bytes);
  return true;
}

bool ingestion_actor::judge(log_slot& slot, const incoming_batch& batch) {
  using storage::producer_verdict;
  const auto judged = slot.appender.judge(batch.producer, home_lane().time().wall_ns());
  errc why{};
  switch (judged.verdict) {
  case producer_verdict::fresh:
    return false;
  case producer_verdict::duplicate:
    metrics_.add(counter::producer_duplicates);
    slot.acks.push_back({batch.from, judged.newest});
    touch(slot);
    return true;
  case producer_verdict::gap:
    why = errc::out_of_sequence;
    break;
  case producer_verdict::stale:
    why = errc::fenced;
    break;
  case producer_verdict::unknown:
    why = errc::unknown_producer;
    break;
  case producer_verdict::no_room:
    why = errc::throttled;
    break;
  }
  metrics_.add(counter::producer_refusals);
  refuse(batch.from, batch.log, why);
  return true;
}

void ingestion_actor::touch(log_slot& slot) {
  if (!std::exchange(slot.touched, true))
    touched_.push_back(&slot);
}

void ingestion_actor::make_room() {
  for (auto& [id, slot] : logs_)
    slot.appender.release_idle();
}

void ingestion_actor::seal() {
  std::size_t kept = 0;
  for (auto* slot : touched_)
    if (!seal(*slot))
      touched_[kept++] = slot; // no message was to be had: tried again when one is back
  touched_.resize(kept);
}

bool ingestion_actor::seal(log_slot& slot) {
  for (;;) {
    auto message = memory_.sealed_messages.take();
    if (!message)
      return false;
    if (!slot.appender.collect(message->run)) {
      if (slot.acks_sent < slot.acks.size()) { // for batches that went before
        message->run.log = slot.appender.log();
        message->acks.assign(slot.acks.begin() + static_cast<std::ptrdiff_t>(slot.acks_sent),
                             slot.acks.end());
        slot.acks.clear();
        slot.acks_sent = 0;
        memory_.sealed_messages.send(routes_.poller, std::move(message), context());
      }
      slot.touched = false;
      if (slot.ended)
        send(routes_.poller, segment_ended{slot.appender.log(), *std::exchange(slot.ended, {})});
      return true;
    }
    const auto last = message->run.batches.back().header.number;
    auto at = slot.acks_sent;
    while (at < slot.acks.size() && slot.acks[at].batch <= last)
      message->acks.push_back(slot.acks[at++]);
    slot.acks_sent = at;
    if (slot.acks_sent == slot.acks.size()) {
      slot.acks.clear();
      slot.acks_sent = 0;
    }
    message->received_ns = slot.received_ns;
    message->sealed_ns = home_lane().time().steady_ns();
    if (slot.received_ns != 0)
      metrics_.observe(histogram::stage_queue,
                       message->sealed_ns - std::min(message->sealed_ns, slot.received_ns));
    // record 5/9: sealed batches go on as owned buffers
    memory_.sealed_messages.send(routes_.poller, std::move(message), context());
  }
}

void ingestion_actor::refuse(const reply_address& to, log_id log, errc why) {
  if (to.network == reply_address::internal) {
    send(routes_.metadata, appended{log, to.ticket, batch_number{}, false, why});
    return;
  }
  metrics_.add(why == errc::read_only || why == errc::log_fenced ? counter::errors_io
                                                                 : counter::errors_protocol);
  refused_.push({to, why});
}

void ingestion_actor::send_refusals() {
  while (!refused_.empty()) {
    const auto& [to, why] = refused_.front();
    auto& filling = refusals_[to.network];
    if (filling && filling->list.size() == outcomes_max)
      memory_.outcome_messages.send(routes_.networks[to.network], std::move(filling), context());
    if (!filling) {
      filling = memory_.outcome_messages.take();
      if (!filling)
        break;
    }
    filling->list.push_back({to.session, to.generation, to.ticket, false, why});
    refused_.pop();
  }
  for (std::size_t network = 0; network < refusals_.size(); ++network)
    if (refusals_[network])
      memory_.outcome_messages.send(routes_.networks[network], std::move(refusals_[network]),
                                    context());
}

} // namespace lance::actors
