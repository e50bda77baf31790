#include "tests/sim/checkers/log_history.hpp"

#include <algorithm>
#include <utility>

namespace lance::sim {

using storage::batch_header;

namespace {

bool follows(const batch_header& next, const batch_header& before) {
  return next.number.value == before.number.value + 1 && next.offset == before.end_offset() &&
         next.first_record == before.end_record() && next.append_time_ns >= before.append_time_ns &&
         next.key > before.key;
}

std::string text(std::uint64_t number) {
  return std::to_string(number);
}

} // namespace

void log_history::appended(const storage::sealed_batch& place, std::size_t sent) {
  const auto& header = place.header;
  const auto* before = !pending_.empty()   ? &pending_.rbegin()->second.place.header
                       : !durable_.empty() ? &durable_.back().place.header
                                           : nullptr;
  const bool right = before != nullptr ? follows(header, *before)
                                       : header.number.value == 1 && header.offset.value == 0 &&
                                             header.first_record.value == 0;
  if (!right)
    report("numbers follow",
           "batch " + text(header.number.value) + " does not follow the one before");
  pending_[header.number.value] = {place, sent};
}

void log_history::durable(batch_number until) {
  while (next() < until.value) {
    const auto known = pending_.find(next());
    if (known == pending_.end())
      return report("nothing from nowhere", "batch " + text(next()) + " was never appended");
    durable_.push_back(known->second);
    if (std::exchange(durable_.back().given_up, false))
      sent_.regained(known->second.sent);
    else
      sent_.stored(known->second.sent, known->first);
    // A segment is flushed before the next is begun, whatever the level.
    safe_next_ = std::max(safe_next_, known->second.place.segment.first.value);
    pending_.erase(known);
  }
  if (level_ == durability::fsync)
    safe_next_ = next();
}

std::uint64_t log_history::number_at(std::uint64_t offset) const {
  const auto found = std::ranges::partition_point(
      durable_, [=](const auto& one) { return one.place.header.end_offset().value <= offset; });
  return static_cast<std::uint64_t>(found - durable_.begin()) + 1;
}

void log_history::reopened(storage::log& found) {
  if (found.state() == storage::log_state::damaged)
    return report("acknowledged stays",
                  "is damaged at batch " + text(found.recovered().damaged_at.value));
  const bool fenced = found.state() == storage::log_state::fenced;
  judge_loss(found.durable_next().value, fenced);
  durable(found.durable_next()); // whole batches without an acknowledgement are kept
  if (broken_.any())
    return;
  if (!fenced) {
    pending_.clear();
    flush_failed_ = power_was_cut_ = false;
    safe_next_ = next();
  }
  judge_ends(found);
  judge_entries(found);
}

// At level `written` the kernel's word is enough, and goes with the power or a failed flush; at
// `memory` the process's, and goes with it.
void log_history::judge_loss(std::uint64_t found_next, bool may_return) {
  const bool lenient = level_ == durability::memory ||
                       (level_ == durability::written && (power_was_cut_ || flush_failed_));
  const auto least = lenient ? safe_next_ : next();
  if (found_next < least)
    return report("acknowledged stays", "ends before batch " + text(found_next) +
                                            ", batches below " + text(least) + " were durable");
  while (next() > found_next) {
    sent_.given_up(durable_.back().sent);
    durable_.back().given_up = true;
    if (may_return)
      pending_[next() - 1] = std::move(durable_.back());
    durable_.pop_back();
  }
}

void log_history::judge_ends(const storage::log& found) {
  const auto records = durable_.empty() ? 0 : durable_.back().place.header.end_record().value;
  if (found.durable_end().value != end_offset() || found.durable_records().value != records)
    report("numbers stay", "ends at offset " + text(found.durable_end().value) + ", record " +
                               text(found.durable_records().value) + " instead of " +
                               text(end_offset()) + ", " + text(records));
}

void log_history::judge_entries(storage::log& found) {
  for (auto number = found.start_number().value; number < next(); ++number) {
    const auto located = found.find_number(batch_number{number});
    if (!located) {
      if (located.error().code == errc::io_failed)
        return; // of the device, while the segment was opened: the readers come again
      return report("acknowledged stays", "batch " + text(number) + " is not found");
    }
    const auto& header = batch(number).place.header;
    const auto& entry = located->entry;
    if (entry.offset != header.offset || entry.first_record != header.first_record ||
        entry.record_count != header.record_count || entry.key != header.key ||
        entry.append_time_ns != header.append_time_ns || entry.header_crc != header.header_crc ||
        entry.payload_length != header.payload_length)
      return report("numbers stay", "batch " + text(number) + " is another one than before");
  }
}

} // namespace lance::sim
