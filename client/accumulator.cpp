#include "client/accumulator.hpp"

#include <algorithm>

namespace lance::client {

namespace {

// Kept for reuse: what a window and the batches being filled need, not what a burst once needed.
constexpr std::size_t spare_max = 32;

} // namespace

std::uint64_t accumulator::charge_for(const outgoing_topic& topic, std::size_t bytes) const {
  const auto open = open_.find(&topic);
  if (open != open_.end() && fits(*open->second, bytes))
    return 0;
  return std::max(options_.batch_bytes, bytes);
}

void accumulator::add(outgoing_topic& topic, std::optional<byte_view> key, byte_view value,
                      delivery_callback callback, std::uint64_t now_ns) {
  const auto bytes = encoded_bytes(options_.framing, key, value);
  auto& open = open_[&topic];
  if (open && !fits(*open, bytes))
    sealed_.push_back(std::move(open));
  if (!open)
    open = begin(topic, bytes, now_ns);
  encode_record(open->frame, options_.framing, key, value);
  ++open->records;
  if (callback)
    open->callbacks.push_back(std::move(callback));
  if (open->payload_bytes() >= options_.batch_bytes) {
    sealed_.push_back(std::move(open));
    open_.erase(&topic);
  }
}

batch_ptr accumulator::begin(outgoing_topic& topic, std::size_t bytes, std::uint64_t now_ns) {
  batch_ptr batch;
  if (spare_.empty()) {
    batch = std::make_unique<outgoing_batch>();
  } else {
    batch = std::move(spare_.back());
    spare_.pop_back();
  }
  batch->topic = &topic;
  batch->sequence = ++last_sequence_;
  batch->begun_ns = now_ns;
  batch->charge = std::max(options_.batch_bytes, bytes);
  batch->frame.reserve(wire::frame_header_bytes + batch->charge);
  batch->frame.resize(wire::frame_header_bytes);
  return batch;
}

void accumulator::seal_expired(std::uint64_t now_ns, bool all) {
  const auto first = sealed_.size();
  for (auto entry = open_.begin(); entry != open_.end();) {
    if (all || entry->second->begun_ns + options_.linger_ns <= now_ns) {
      sealed_.push_back(std::move(entry->second));
      entry = open_.erase(entry);
    } else {
      ++entry;
    }
  }
  std::sort(sealed_.begin() + static_cast<std::ptrdiff_t>(first), sealed_.end(),
            [](const auto& a, const auto& b) { return a->sequence < b->sequence; });
}

std::uint64_t accumulator::next_expiry_ns() const noexcept {
  auto soonest = ~std::uint64_t{0};
  for (const auto& [topic, batch] : open_)
    soonest = std::min(soonest, batch->begun_ns + options_.linger_ns);
  return soonest;
}

void accumulator::recycle(batch_ptr batch) {
  if (spare_.size() == spare_max || batch->charge > options_.batch_bytes)
    return;
  auto frame = std::move(batch->frame);
  auto callbacks = std::move(batch->callbacks);
  frame.clear();
  callbacks.clear();
  *batch = {};
  batch->frame = std::move(frame);
  batch->callbacks = std::move(callbacks);
  spare_.push_back(std::move(batch));
}

} // namespace lance::client
