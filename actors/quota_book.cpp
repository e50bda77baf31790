#include "actors/quota_book.hpp"

#include <algorithm>

namespace lance::actors {

template <class Key>
void quota_book::set(side<Key>& of, std::uint64_t rate, std::uint64_t now_ns) {
  if (rate == of.rate)
    return;
  const bool began = of.rate == 0;
  of.rate = rate;
  if (rate == 0 || began) { // nobody owes anything for the time without a limit
    of.buckets.clear();
    of.others = runtime::token_bucket{rate, now_ns};
    return;
  }
  for (auto& [key, each] : of.buckets)
    each.set_rate(rate, now_ns);
  of.others.set_rate(rate, now_ns);
}

void quota_book::set(const quota_limits& limits, std::uint64_t now_ns) {
  const std::scoped_lock lock{guard_};
  limits_ = limits;
  auto& in = ways_[static_cast<std::size_t>(way::ingest)];
  auto& out = ways_[static_cast<std::size_t>(way::fetch)];
  set(in.identities, limits.ingest_bytes_per_s, now_ns);
  set(in.topics, limits.topic_ingest_bytes_per_s, now_ns);
  set(out.identities, limits.fetch_bytes_per_s, now_ns);
  set(out.topics, limits.topic_fetch_bytes_per_s, now_ns);
  for (std::size_t i = 0; i < 2; ++i)
    limited_[i].store(ways_[i].identities.rate > 0 || ways_[i].topics.rate > 0,
                      std::memory_order_relaxed);
}

quota_limits quota_book::limits() const {
  const std::scoped_lock lock{guard_};
  return limits_;
}

template <class Key>
runtime::token_bucket& quota_book::bucket(side<Key>& of, const Key& key, std::uint64_t now_ns) {
  if (const auto found = of.buckets.find(key); found != of.buckets.end())
    return found->second;
  if (of.buckets.size() >= entries_max_)
    std::erase_if(of.buckets, [now_ns](const auto& each) { return each.second.full(now_ns); });
  if (of.buckets.size() >= entries_max_)
    return of.others;
  return of.buckets.try_emplace(key, of.rate, now_ns).first->second;
}

std::uint64_t quota_book::wait_ns(way which, const std::string& who, std::uint32_t topic,
                                  std::uint64_t now_ns) {
  const std::scoped_lock lock{guard_};
  auto& of = ways_[static_cast<std::size_t>(which)];
  std::uint64_t wait = 0;
  if (of.identities.rate > 0)
    wait = bucket(of.identities, who, now_ns).wait_ns(now_ns);
  if (of.topics.rate > 0)
    wait = std::max(wait, bucket(of.topics, topic, now_ns).wait_ns(now_ns));
  return wait;
}

void quota_book::take(way which, const std::string& who, std::uint32_t topic, std::uint64_t bytes,
                      std::uint64_t now_ns) {
  const std::scoped_lock lock{guard_};
  auto& of = ways_[static_cast<std::size_t>(which)];
  if (of.identities.rate > 0)
    bucket(of.identities, who, now_ns).take(bytes, now_ns);
  if (of.topics.rate > 0)
    bucket(of.topics, topic, now_ns).take(bytes, now_ns);
}

bool quota_book::join(const std::string& identity) {
  const std::scoped_lock lock{guard_};
  const auto found = connections_.find(identity);
  if (limits_.connections > 0 && found != connections_.end() &&
      found->second >= limits_.connections)
    return false;
  ++connections_[identity];
  return true;
}

void quota_book::leave(const std::string& identity) {
  const std::scoped_lock lock{guard_};
  const auto found = connections_.find(identity);
  if (found != connections_.end() && --found->second == 0)
    connections_.erase(found);
}

} // namespace lance::actors
