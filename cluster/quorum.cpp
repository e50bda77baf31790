#include "cluster/quorum.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace lance::cluster {

batch_number majority_end(std::span<batch_number> ends) noexcept {
  LANCE_CHECK(!ends.empty());
  const auto place = ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 2);
  std::ranges::nth_element(ends, place, std::ranges::greater{});
  return *place;
}

std::uint64_t late_after_ns(const raft_options& chosen,
                            std::span<std::uint64_t> flush_ns) noexcept {
  const auto known = std::ranges::remove(flush_ns, 0U).begin();
  const auto told = flush_ns.first(static_cast<std::size_t>(known - flush_ns.begin()));
  if (told.empty())
    return chosen.evict_ns;
  const auto middle = told.begin() + static_cast<std::ptrdiff_t>((told.size() - 1) / 2);
  std::ranges::nth_element(told, middle);
  return std::max(chosen.evict_ns, *middle * chosen.evict_flushes);
}

bool pace::late(const raft_options& chosen) noexcept {
  if (evicted_) {
    in_a_row_ = 0;
    return false;
  }
  if (++in_a_row_ < chosen.evict_after)
    return false;
  evicted_ = true;
  in_a_row_ = 0;
  return true;
}

bool pace::in_time(const raft_options& chosen) noexcept {
  if (!evicted_) {
    in_a_row_ = 0;
    return false;
  }
  if (++in_a_row_ < chosen.rejoin_after)
    return false;
  evicted_ = false;
  in_a_row_ = 0;
  return true;
}

} // namespace lance::cluster
