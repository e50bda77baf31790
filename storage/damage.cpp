#include "storage/damage.hpp"

namespace lance::storage {

bool damage_list::note(const damaged_batch& which) {
  if (known_.size() >= damaged_batches_max)
    return false;
  const bool fresh = known_.try_emplace(which.number.value, entry{which}).second;
  unreported_ += fresh ? 1 : 0;
  return fresh;
}

const damaged_batch* damage_list::find(batch_number number) const noexcept {
  const auto found = known_.find(number.value);
  return found == known_.end() ? nullptr : &found->second.what;
}

bool damage_list::confirmed(batch_number number) const noexcept {
  const auto found = known_.find(number.value);
  return found != known_.end() && found->second.confirmed;
}

void damage_list::heal(batch_number number) {
  if (!known_.contains(number.value))
    return;
  clear(number, batch_number{number.value + 1});
  healed_ = true;
}

void damage_list::clear(batch_number first, batch_number end) {
  const auto last = known_.lower_bound(end.value);
  for (auto at = known_.lower_bound(first.value); at != last; at = known_.erase(at))
    unreported_ -= at->second.reported ? 0 : 1;
}

void damage_list::settle(batch_number first, batch_number end,
                         std::span<const damaged_batch> damaged) {
  auto from = first;
  for (const auto& each : damaged) { // ascending, as they were met
    clear(from, each.number);
    from = batch_number{each.number.value + 1};
  }
  clear(from, end);
  for (const auto& each : damaged) {
    (void)note(each);
    if (const auto found = known_.find(each.number.value); found != known_.end())
      found->second.confirmed = true;
  }
}

std::optional<damaged_batch> damage_list::take_unreported() {
  if (unreported_ == 0) {
    healed_ = false;
    return std::nullopt;
  }
  for (auto& [number, each] : known_)
    if (!each.reported) {
      each.reported = true;
      --unreported_;
      return each.what;
    }
  return std::nullopt;
}

std::optional<batch_number> damage_list::take_doubted() {
  if (doubted_.empty())
    return std::nullopt;
  return batch_number{doubted_.extract(doubted_.begin()).value()};
}

} // namespace lance::storage
