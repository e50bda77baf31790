#include "storage/read_budget.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace lance::storage {

namespace {

// Commits between two judgements: the estimate moves by a sixteenth per commit, so that it has
// followed what the last judgement brought about.
constexpr std::uint32_t commits_per_judgement = 16;
// The estimate of the median moves by this part of itself: one slow commit of many, which every
// disk has, says nothing.
constexpr std::uint64_t median_step = 16;
// A probe is two judgements long, the first half of which is for the estimate to follow; one comes
// after 64, so that readers lose a thirtieth by it, and a disk that has become slower or faster for
// good is known after a thousand commits.
constexpr std::uint32_t probe_judgements = 2, judgements_between_probes = 64;
constexpr std::uint32_t probed_enough = 8;
// Nobody writes any more after this long: a producer's pause between two bursts is shorter.
constexpr std::uint64_t quiet_ns = 200 * ms_in_ns;
// The gaps between commits are for one read at first: what it leaves of the disk grows from there.
constexpr std::uint64_t pieces_at_first = 1;
// Of so many commits without a gap one is accompanied by reads: readers get on beside a producer
// that takes all the disk gives, and most commits do not meet them.
constexpr std::uint32_t commits_per_read = 3;

} // namespace

void read_budget::experience::learn(std::uint64_t took_ns) noexcept {
  const auto took = std::max<std::uint64_t>(took_ns, median_step);
  if (typical_ns == 0)
    typical_ns = best_ns = took;
  else if (took > typical_ns)
    typical_ns += typical_ns / median_step;
  else if (took < typical_ns)
    typical_ns -= typical_ns / median_step;
  best_ns = std::min(best_ns, typical_ns);
  ++probed;
}

void read_budget::commit_ended() noexcept {
  --under_way_;
  gapless_ = under_way_ == 0 ? 0 : (gapless_ + 1) % commits_per_read;
  let_through_ = under_way_ > 0 && gapless_ == 0;
}

void read_budget::committed(std::uint64_t now_ns, std::uint64_t bytes,
                            std::uint64_t took_ns) noexcept {
  last_commit_ns_ = now_ns;
  if (!std::exchange(somebody_writes_, true)) {
    allowed_bytes_ = std::min(allowed_bytes_, pieces_at_first * bounds_.piece_bytes);
    begin_probe();
  }
  const auto size = static_cast<std::size_t>(std::bit_width((bytes - 1) / (4 * KiB)));
  auto& known = of_size_[std::min(size, sizes - 1)];
  known.learn(took_ns);
  fast_ += known.fast() ? 1 : 0;
  slow_ += known.slow() ? 1 : 0;
  if (++seen_ == commits_per_judgement)
    judge();
}

// Most within a quarter of the best: more. Most half as long again: less. In between it stays.
void read_budget::judge() noexcept {
  ++judgements_;
  if (probing_) {
    if (judgements_ == probe_judgements)
      end_probe();
  } else {
    if (slow_ > seen_ / 2)
      allowed_bytes_ = std::max(allowed_bytes_ / 2, bounds_.piece_bytes);
    else if (fast_ > seen_ / 2)
      allowed_bytes_ = std::min(allowed_bytes_ + bounds_.piece_bytes / 4, bounds_.most_bytes);
    if (judgements_ == judgements_between_probes)
      begin_probe();
  }
  seen_ = fast_ = slow_ = 0;
}

void read_budget::begin_probe() noexcept {
  probing_ = true;
  seen_ = fast_ = slow_ = judgements_ = 0;
  after_probe_bytes_ = allowed_bytes_;
  allowed_bytes_ = bounds_.piece_bytes;
  for (auto& each : of_size_)
    each.probed = 0;
}

void read_budget::end_probe() noexcept {
  probing_ = false;
  judgements_ = 0;
  allowed_bytes_ = after_probe_bytes_;
  for (auto& each : of_size_)
    if (each.probed >= probed_enough)
      each.best_ns = each.typical_ns;
}

void read_budget::tick(std::uint64_t now_ns, bool pending) noexcept {
  let_through_ = under_way_ > 0; // however long it takes
  if (!somebody_writes_ || now_ns - std::min(now_ns, last_commit_ns_) < quiet_ns)
    return;
  if (pending) { // the disk is lost in one commit: readers must not make it worse
    allowed_bytes_ = bounds_.piece_bytes;
    return;
  }
  somebody_writes_ = probing_ = false;
  allowed_bytes_ = bounds_.most_bytes;
}

std::uint32_t read_budget::allowed_reads() const noexcept {
  if (under_way_ > 0)
    return let_through_ ? 1 : 0;
  return static_cast<std::uint32_t>(
      std::max<std::uint64_t>(allowed_bytes_ / bounds_.piece_bytes, 1));
}

} // namespace lance::storage
