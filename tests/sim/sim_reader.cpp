#include "tests/sim/sim_reader.hpp"

#include <algorithm>

namespace lance::sim {

using storage::read_shape;

namespace {

constexpr std::size_t room_max = 24 * KiB; // holds the largest batch with its header

} // namespace

sim_reader::sim_reader(habit how, sim_log& from, storage::reader& with, event_loop& loop,
                       random_stream& random, const fault_counts& counted, trace& told)
    : habit_(how), from_(from), reader_(with), timers_(loop), random_(random), counted_(counted),
      told_(told), room_(room_max) {}

void sim_reader::begin_later() {
  timers_.after(
      random_.between(50 * us_in_ns, habit_ == habit::audit ? 400 * us_in_ns : 4 * ms_in_ns),
      [this] { begin(); });
}

void sim_reader::begin() {
  if (stopped_)
    return;
  choose();
  flips_before_ = counted_.of(fault::bit_flipped_on_read);
  start_before_ = from_.log().start_offset().value;
  reader_.start(*this, from_.log());
}

void sim_reader::choose() {
  auto& log = from_.log();
  const auto end = log.durable_end().value;
  const auto first = log.start_offset().value;
  limit = byte_offset{~std::uint64_t{0}};
  switch (habit_) {
  case habit::follow:
    shape = read_shape::bytes;
    into = byte_span{room_}.first(random_.between(1, room_max));
    position() = std::min(position(), end); // a level below fsync may have taken its end back
    break;
  case habit::audit:
    shape = read_shape::batches;
    into = room_;
    break;
  case habit::wander:
    constexpr read_shape shapes[] = {read_shape::bytes, read_shape::batches, read_shape::image};
    shape = random_.pick(shapes);
    into = byte_span{room_}.first(shape == read_shape::bytes ? random_.between(1, room_max)
                                                             : room_max);
    position_ = random_.between(first, end);
    if (random_.coin())
      limit = byte_offset{random_.between(position_, end)};
    break;
  }
  start = byte_offset{position()};
}

void sim_reader::finished(result<storage::read_outcome> outcome) {
  if (stopped_)
    return;
  if (outcome)
    went_well(*outcome);
  else
    went_wrong(outcome.error());
  begin_later();
}

void sim_reader::went_well(const storage::read_outcome& got) {
  told_.note("read_ended", {from_.world().policy.log.value, got.start.value, got.next.value});
  from_.world().reads.judge(*this, got, from_.log());
  position() = got.next.value;
  if (got.next >= from_.log().durable_end()) {
    at_end_ = true;
    if (habit_ == habit::audit)
      position_ = 0;
  }
}

// The device's errors pass; what is rotten is stepped over; anything else has no excuse.
void sim_reader::went_wrong(const error& why) {
  auto& history = from_.world().history;
  told_.note("read_failed", {history.log(), static_cast<std::uint64_t>(why.code)});
  if (why.code == errc::io_failed)
    return;
  const auto moved = std::max(position(), start_before_); // where the read began
  if (why.code == errc::corrupt) {
    from_.world().reads.judge_corrupt(moved,
                                      counted_.of(fault::bit_flipped_on_read) > flips_before_);
    const auto number = history.number_at(moved);
    if (number < history.next() && history.batch(number).rotted)
      position() = history.batch(number).place.header.end_offset().value;
    if (position() >= from_.log().durable_end().value) {
      at_end_ = true;
      position_ = 0;
    }
    return;
  }
  // Retention may pass a limit or a position while the read is on its way.
  if (why.code == errc::offset_out_of_range && from_.log().start_offset().value > start_before_)
    return;
  if (why.code == errc::offset_out_of_range && limit.value < from_.log().start_offset().value)
    return;
  history.report("readers get what was sent", "a read from offset " + std::to_string(moved) +
                                                  " fails with code " +
                                                  std::to_string(static_cast<unsigned>(why.code)));
}

} // namespace lance::sim
