#include "client/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lance::client {

// Values below one doubling's buckets have a bucket each. Above, a value's leading bit names the
// doubling (from 1 on) and the bits that follow it the bucket in it.
std::size_t histogram::bucket_of(std::uint64_t ns) noexcept {
  if (ns < buckets_per_doubling)
    return static_cast<std::size_t>(ns);
  const auto shift = static_cast<unsigned>(std::bit_width(ns)) - precision_bits - 1;
  return shift * buckets_per_doubling + static_cast<std::size_t>(ns >> shift);
}

std::uint64_t histogram::top_of(std::size_t bucket) noexcept {
  if (bucket < 2 * buckets_per_doubling)
    return bucket;
  const auto shift = static_cast<unsigned>(bucket / buckets_per_doubling) - 1;
  const std::uint64_t low = std::uint64_t{bucket - shift * buckets_per_doubling} << shift;
  return low + (std::uint64_t{1} << shift) - 1;
}

void histogram::record(std::uint64_t ns, std::uint64_t times) noexcept {
  counts_[bucket_of(ns)] += times;
  count_ += times;
  max_ = std::max(max_, ns);
}

void histogram::record_corrected(std::uint64_t ns, std::uint64_t interval_ns) noexcept {
  record(ns);
  if (interval_ns == 0)
    return;
  for (auto missed = ns; missed > interval_ns;) {
    missed -= interval_ns;
    record(missed);
  }
}

std::uint64_t histogram::value_at(double quantile) const noexcept {
  const auto wanted = std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_);
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(wanted)));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < bucket_count && count_ != 0; ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank)
      return std::min(top_of(bucket), max_);
  }
  return 0;
}

void histogram::add(const histogram& other) noexcept {
  for (std::size_t bucket = 0; bucket < bucket_count; ++bucket)
    counts_[bucket] += other.counts_[bucket];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

} // namespace lance::client
