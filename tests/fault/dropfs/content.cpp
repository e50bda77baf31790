#include "tests/fault/dropfs/content.hpp"

#include <algorithm>
#include <cstring>

namespace lance::fault {

std::size_t content::read(std::uint64_t position, std::span<std::byte> into) const {
  if (position >= now_.size)
    return 0;
  const auto total = std::min<std::uint64_t>(into.size(), now_.size - position);
  for (std::uint64_t done = 0; done < total;) {
    const auto at = position + done;
    const auto some = std::min(total - done, block_bytes - at % block_bytes);
    const auto found = now_.blocks.find(at / block_bytes);
    if (found == now_.blocks.end())
      std::memset(into.data() + done, 0, some);
    else
      std::memcpy(into.data() + done, found->second->data() + at % block_bytes, some);
    done += some;
  }
  return total;
}

content::block& content::own(std::uint64_t number) {
  unsynced_.insert(number);
  auto& held = now_.blocks[number];
  if (held == nullptr)
    held = std::make_shared<block>(); // zeros
  else if (held.use_count() > 1)
    held = std::make_shared<block>(*held);
  return *held;
}

void content::drop(std::uint64_t number) {
  if (now_.blocks.erase(number) > 0)
    unsynced_.insert(number);
}

void content::write(std::uint64_t position, std::span<const std::byte> bytes) {
  for (std::uint64_t done = 0; done < bytes.size();) {
    const auto at = position + done;
    const auto some = std::min<std::uint64_t>(bytes.size() - done, block_bytes - at % block_bytes);
    std::memcpy(own(at / block_bytes).data() + at % block_bytes, bytes.data() + done, some);
    done += some;
  }
  if (position + bytes.size() > now_.size) {
    now_.size = position + bytes.size();
    size_unsynced_ = true;
  }
}

void content::resize(std::uint64_t bytes) {
  if (bytes < now_.size)
    clear_range(bytes, now_.size - bytes);
  if (bytes != now_.size)
    size_unsynced_ = true;
  now_.size = bytes;
}

void content::clear_range(std::uint64_t position, std::uint64_t bytes) {
  const auto end = position + bytes;
  for (auto found = now_.blocks.lower_bound(position / block_bytes); found != now_.blocks.end();) {
    const auto number = (found++)->first;
    const auto begins = number * block_bytes;
    if (begins >= end)
      break;
    const auto from = std::max(position, begins) - begins;
    const auto to = std::min(end, begins + block_bytes) - begins;
    // What lies behind the end of the file is nobody's: such a block goes whole.
    if (from == 0 && (to == block_bytes || begins + to >= now_.size))
      drop(number);
    else
      std::memset(own(number).data() + from, 0, to - from);
  }
}

std::uint64_t content::next_data(std::uint64_t position) const {
  const auto found = now_.blocks.lower_bound(position / block_bytes);
  if (found == now_.blocks.end())
    return now_.size;
  return std::min(now_.size, std::max(position, found->first * block_bytes));
}

std::uint64_t content::next_hole(std::uint64_t position) const {
  auto number = position / block_bytes;
  for (auto found = now_.blocks.find(number); found != now_.blocks.end() && found->first == number;
       ++found)
    ++number;
  return std::min(now_.size, std::max(position, number * block_bytes));
}

void content::sync() {
  for (const auto number : unsynced_) {
    if (const auto found = now_.blocks.find(number); found != now_.blocks.end())
      durable_.blocks[number] = found->second;
    else
      durable_.blocks.erase(number);
  }
  if (size_unsynced_)
    durable_.size = now_.size;
  unsynced_.clear();
  size_unsynced_ = false;
}

void content::lose_sync() {
  std::set<std::uint64_t> left; // cut off, not written: stays to be synced, like the size
  for (const auto number : unsynced_) {
    if (number * block_bytes >= now_.size) {
      left.insert(number);
      continue;
    }
    if (const auto was = durable_.blocks.find(number); was != durable_.blocks.end())
      now_.blocks[number] = was->second;
    else
      now_.blocks.erase(number);
  }
  unsynced_ = std::move(left);
  if (now_.size % block_bytes != 0 && now_.size < durable_.size)
    clear_range(now_.size, durable_.size - now_.size);
}

void content::cut(chance random, cut_counts& counts) {
  // Some files lose nearly all, some nearly nothing, most a part.
  const auto keep_of_8 =
      random == nullptr ? 0 : std::array<unsigned, 4>{1, 4, 4, 7}[(*random)() % 4];
  const auto keeps = [&] { return random != nullptr && (*random)() % 8 < keep_of_8; };
  static const block zeros{};
  for (const auto number : unsynced_) {
    const auto is = now_.blocks.find(number);
    const auto was = durable_.blocks.find(number);
    const auto& fresh = is == now_.blocks.end() ? zeros : *is->second;
    auto left = std::make_shared<block>(was == durable_.blocks.end() ? zeros : *was->second);
    for (std::uint64_t at = 0; at < block_bytes; at += sector_bytes) {
      if (std::memcmp(left->data() + at, fresh.data() + at, sector_bytes) == 0)
        continue;
      if (keeps()) {
        std::memcpy(left->data() + at, fresh.data() + at, sector_bytes);
        ++counts.sectors_kept;
      } else {
        ++counts.sectors_lost;
      }
    }
    durable_.blocks[number] = std::move(left);
  }
  if (size_unsynced_ && now_.size != durable_.size) {
    const bool kept = keeps();
    ++(kept ? counts.sizes_kept : counts.sizes_lost);
    if (kept)
      durable_.size = now_.size;
  }
  durable_.blocks.erase(
      durable_.blocks.lower_bound((durable_.size + block_bytes - 1) / block_bytes),
      durable_.blocks.end());
  if (const auto tail = durable_.size % block_bytes; tail != 0)
    if (const auto last = durable_.blocks.find(durable_.size / block_bytes);
        last != durable_.blocks.end()) {
      last->second = std::make_shared<block>(*last->second);
      std::memset(last->second->data() + tail, 0, block_bytes - tail);
    }
  now_ = durable_;
  unsynced_.clear();
  size_unsynced_ = false;
}

} // namespace lance::fault
