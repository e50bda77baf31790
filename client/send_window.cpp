#include "client/send_window.hpp"

#include <algorithm>

#include "runtime/plant.hpp"
#include "wire/error_reply.hpp"

namespace lance::client {

using runtime::plant;
using runtime::planted;

namespace {

failure about(const outgoing_batch& batch, failure what) {
  what.topic = batch.topic->name;
  return what;
}

} // namespace

void send_window::push(batch_ptr batch) {
  if (fenced_)
    return give_up(std::move(batch), *fenced_);
  ready_.push_back(std::move(batch));
}

outgoing_batch* send_window::take(std::uint64_t& batch_id) {
  if (!can_take())
    return nullptr;
  auto next = ready_.begin();
  if (epoch_over_)
    next = std::ranges::find_if(ready_, [](const auto& each) { return each->number != 0; });
  if (idempotent_)
    give_number(**next);
  batch_id = idempotent_ ? (*next)->number : next_id_++;
  in_flight_.push_back({std::move(*next), batch_id});
  ready_.erase(next);
  return in_flight_.back().batch.get();
}

bool send_window::can_take() const noexcept {
  return !ready_.empty() && in_flight_.size() < in_flight_max_ &&
         (!epoch_over_ || numbered_ready());
}

send_window::verdict send_window::on_reply(const reply_frame& reply, const std::string& node) {
  if (in_flight_.empty())
    return verdict::broken;
  if (reply.kind() == wire::frame_kind::ack) {
    if (reply.header.batch_id != in_flight_.front().id)
      return verdict::broken;
    complete(land(), fate::acknowledged, std::nullopt);
    return verdict::go_on;
  }
  if (reply.kind() == wire::frame_kind::backpressure) {
    ready_again(land());
    asked_to_wait_ = {};
    return verdict::pause;
  }
  if (reply.is(wire::command::error_response))
    return on_refusal(reply, node);
  return verdict::broken;
}

send_window::verdict send_window::on_refusal(const reply_frame& reply, const std::string& node) {
  auto batch = land();
  auto why = about(*batch, failure_of_reply(reply.payload, node));
  if (idempotent_ && (why.code == errc::out_of_sequence || why.code == errc::unknown_producer))
    return on_refused_number(std::move(batch), why);
  if (idempotent_ && why.code == errc::fenced)
    fenced_ = why;
  if (!why.retriable) {
    if (why.code == errc::topic_not_found)
      batch->topic->stale = true;
    if (why.code == errc::internal) // its disk failed under the batch: what it kept, nobody knows
      batch->perhaps_stored = true;
    give_up(std::move(batch), why);
    while (fenced_ && !ready_.empty()) {
      auto other = std::move(ready_.front());
      ready_.pop_front();
      give_up(std::move(other), why);
    }
    return verdict::go_on;
  }
  const auto code = why.code;
  asked_to_wait_ = client::asked_to_wait(why);
  if (code == errc::forward_failed) // the leader may have it, without its quorum
    unanswered(std::move(batch), why);
  else
    ready_again(std::move(batch));
  if (code != errc::not_leader)
    return verdict::pause;
  leader_ = wire::parse_error(as_text(reply.payload)).leader;
  return verdict::redirect;
}

// The server did not take a number because of one that goes before.
send_window::verdict send_window::on_refused_number(batch_ptr batch, const failure& why) {
  // It stores numbers without gaps: this one is not there.
  if (why.code == errc::out_of_sequence)
    batch->perhaps_stored = false;
  if (batch->topic->broken && !batch->perhaps_stored) {
    batch->number = 0;
    ready_again(std::move(batch));
  } else if (follows_another(*batch)) {
    ready_again(std::move(batch)); // what was in front comes again, and then this one
  } else if (why.code == errc::unknown_producer && !batch->perhaps_stored) {
    break_off(*batch->topic); // forgotten for its long silence: it begins anew
    batch->number = 0;
    ready_again(std::move(batch));
  } else {
    give_up(std::move(batch), why); // what was acknowledged before it is gone
  }
  return verdict::go_on;
}

bool send_window::follows_another(const outgoing_batch& batch) const noexcept {
  const auto before = [&](const outgoing_batch& other) {
    return other.topic == batch.topic && other.number != 0 && other.number < batch.number;
  };
  return std::ranges::any_of(in_flight_, [&](const auto& each) { return before(*each.batch); }) ||
         std::ranges::any_of(ready_, [&](const auto& each) { return before(*each); });
}

void send_window::give_number(outgoing_batch& batch) const noexcept {
  auto& topic = *batch.topic;
  if (batch.number != 0)
    return;
  if (topic.epoch != epoch_) {
    topic.epoch = epoch_;
    topic.numbered = 0;
    topic.broken = false;
  }
  batch.number = ++topic.numbered;
}

// What is surely not stored goes into the next epoch; what may be is asked for in this one.
void send_window::break_off(outgoing_topic& topic) {
  epoch_over_ = topic.broken = true;
  for (const auto& each : ready_)
    if (each->topic == &topic && !each->perhaps_stored)
      each->number = 0;
}

bool send_window::numbered_ready() const noexcept {
  return std::ranges::any_of(ready_, [](const auto& each) { return each->number != 0; });
}

bool send_window::wants_epoch() const noexcept {
  return epoch_over_ && in_flight_.empty() && !numbered_ready() && !fenced_;
}

void send_window::begin_epoch() noexcept {
  ++epoch_;
  epoch_over_ = false;
}

void send_window::on_lost(const failure& why) {
  while (!in_flight_.empty()) {
    auto batch = std::move(in_flight_.front().batch);
    in_flight_.pop_front();
    if (batch->sent)
      unanswered(std::move(batch), why);
    else
      ready_again(std::move(batch));
  }
  next_id_ = 1;
}

void send_window::expire(std::uint64_t limit_ns, const failure& why) {
  while (!ready_.empty() && ready_.front()->begun_ns < limit_ns) {
    auto batch = std::move(ready_.front());
    ready_.pop_front();
    give_up(std::move(batch), why);
  }
}

void send_window::abandon(const failure& why) {
  while (!in_flight_.empty()) {
    auto batch = land();
    batch->perhaps_stored |= batch->sent;
    give_up(std::move(batch), why);
  }
  while (!ready_.empty()) {
    auto batch = std::move(ready_.front());
    ready_.pop_front();
    give_up(std::move(batch), why);
  }
}

std::uint64_t send_window::oldest_sent_ns() const noexcept {
  return in_flight_.empty() ? ~std::uint64_t{0} : in_flight_.front().batch->sent_ns;
}

batch_ptr send_window::land() {
  auto batch = std::move(in_flight_.front().batch);
  in_flight_.pop_front();
  return batch;
}

void send_window::complete(batch_ptr batch, fate end, std::optional<failure> problem) {
  completed_.push_back({std::move(batch), end, std::move(problem)});
}

void send_window::give_up(batch_ptr batch, const failure& why) {
  const bool perhaps = batch->perhaps_stored && !planted(plant::unknown_told_as_refused);
  const auto end = perhaps ? fate::unknown : fate::refused;
  auto problem = about(*batch, why);
  if (batch->number != 0)
    break_off(*batch->topic);
  complete(std::move(batch), end, std::move(problem));
}

void send_window::unanswered(batch_ptr batch, const failure& why) {
  batch->perhaps_stored = true;
  if (idempotent_ || unknown_ == on_unknown::resend || planted(plant::sent_again_unasked)) {
    ++resent_;
    ready_again(std::move(batch));
    return;
  }
  auto problem = why;
  problem.retriable = false;
  give_up(std::move(batch), problem);
}

void send_window::ready_again(batch_ptr batch) {
  batch->sent = false;
  const auto at = std::find_if(ready_.begin(), ready_.end(), [&](const batch_ptr& other) {
    return other->sequence > batch->sequence;
  });
  ready_.insert(at, std::move(batch));
}

} // namespace lance::client
