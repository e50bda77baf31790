#include "tests/sim/checkers/deliveries.hpp"

#include <algorithm>

#include "wire/checksum.hpp"

namespace lance::sim {

using client::fate;

namespace {

std::string name_of(const sent_batch& one) {
  return "client " + std::to_string(one.client) + ", batch " + std::to_string(one.sequence) +
         ", log " + std::to_string(one.log);
}

} // namespace

deliveries::content deliveries::content_of(std::uint32_t log, byte_view payload) {
  return {log, wire::checksum(wire::checksum_kind::castagnoli, payload), payload.size()};
}

void deliveries::record_ended(std::uint64_t record) {
  if (++record_ends_[record] > 1)
    broken_.report("answered once", "record " + std::to_string(record) + " was told its end twice");
}

std::size_t deliveries::begun(sent_batch what) {
  by_content_[content_of(what.log, what.payload)] = batches_.size();
  batches_.push_back(std::move(what));
  return batches_.size() - 1;
}

void deliveries::ended(std::size_t which, fate how) {
  auto& one = batches_[which];
  if (one.end)
    broken_.report("answered once", name_of(one) + " ended twice");
  one.end = how;
  if (how != fate::acknowledged)
    return;
  ++acknowledged_;
  if (one.stored + one.given_up == 0)
    broken_.report("acknowledged is durable", name_of(one) + " was acknowledged and is not stored");
}

std::optional<std::size_t> deliveries::find(std::uint32_t log, byte_view payload) const {
  const auto found = by_content_.find(content_of(log, payload));
  if (found == by_content_.end() || !std::ranges::equal(batches_[found->second].payload, payload))
    return std::nullopt;
  return found->second;
}

void deliveries::stored(std::size_t which, std::uint64_t number) {
  auto& one = batches_[which];
  if (one.stored++ == 0)
    one.first_number = number;
  if (one.stored + one.given_up > one.times_sent)
    broken_.report("duplicates", name_of(one) + " is stored " + std::to_string(one.stored) +
                                     " times and was sent " + std::to_string(one.times_sent));
  if (once_ && one.stored > 1)
    broken_.report("duplicates", name_of(one) + " is stored twice, which nobody allowed");
}

void deliveries::given_up(std::size_t which) {
  --batches_[which].stored;
  ++batches_[which].given_up;
}

void deliveries::regained(std::size_t which) {
  ++batches_[which].stored;
  --batches_[which].given_up;
}

std::size_t deliveries::resent() const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(batches_, [](const auto& one) { return one.times_sent > 1; }));
}

void deliveries::judge_all() {
  for (std::size_t i = 0; i < record_ends_.size(); ++i)
    if (record_ends_[i] == 0)
      broken_.report("answered once", "record " + std::to_string(i) + " never got an answer");
  for (const auto& one : batches_)
    judge(one);
  if (in_order_)
    judge_order();
}

void deliveries::judge(const sent_batch& one) {
  if (!one.end)
    return broken_.report("answered once", name_of(one) + " never got an answer");
  if (*one.end == fate::acknowledged && one.stored + one.given_up == 0)
    broken_.report("acknowledged is durable", name_of(one) + " was acknowledged and is gone");
  if (*one.end == fate::refused && one.stored > 0)
    broken_.report("refused is not stored", name_of(one) + " was refused and is there");
}

void deliveries::judge_order() {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> last;
  auto in_order = batches_;
  std::ranges::sort(in_order, {}, [](const auto& one) {
    return std::tuple{one.client, one.log, one.sequence};
  });
  for (const auto& one : in_order) {
    if (one.stored == 0 || one.given_up > 0)
      continue;
    auto& before = last[{one.client, one.log}];
    if (one.first_number < before)
      broken_.report("order", name_of(one) + " stands before a batch that was begun earlier");
    before = one.first_number;
  }
}

} // namespace lance::sim
