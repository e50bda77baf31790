#include "tests/sim/sim_inode.hpp"

#include <algorithm>
#include <cstring>

namespace lance::sim {

using storage::block_bytes;

namespace {

// Versions kept of one unsynced block: more would only lengthen the list to draw from.
constexpr std::size_t versions_max = 4;
constexpr std::uint8_t all_sectors = 0xff;

const block zero_block{};

bool is_zero(const block& content) {
  return std::memcmp(content.data(), zero_block.data(), content.size()) == 0;
}

} // namespace

block_ref sim_inode::at(const block_map& blocks, std::uint64_t number) {
  const auto known = blocks.find(number);
  return known == blocks.end() ? nullptr : known->second;
}

std::uint64_t sim_inode::used() const noexcept {
  return std::max<std::uint64_t>(allocated_, now_.size() * block_bytes);
}

void sim_inode::put(std::uint64_t number, block_ref content, sector_set sectors) {
  now_[number] = content;
  auto& dirty = dirty_[number];
  dirty.sectors |= sectors;
  if (dirty.versions.size() == versions_max)
    dirty.versions.erase(dirty.versions.begin());
  dirty.versions.push_back({sectors, std::move(content)});
  if (const auto known = forgotten_.find(number); known != forgotten_.end())
    if ((known->second &= static_cast<sector_set>(~sectors)) == 0)
      forgotten_.erase(known);
}

void sim_inode::write(std::uint64_t position, byte_view data) {
  size_ = std::max<std::uint64_t>(size_, position + data.size());
  while (!data.empty()) {
    const auto number = position / block_bytes;
    const auto in_block = position % block_bytes;
    const auto some = std::min<std::uint64_t>(data.size(), block_bytes - in_block);
    auto changed = std::make_shared<block>();
    if (some < block_bytes)
      if (const auto known = at(now_, number))
        *changed = *known;
    std::memcpy(changed->data() + in_block, data.data(), some);
    const auto first = in_block / sector_bytes;
    const auto last = (in_block + some - 1) / sector_bytes;
    sector_set sectors = 0;
    for (auto sector = first; sector <= last; ++sector)
      sectors |= static_cast<sector_set>(1U << sector);
    put(number, is_zero(*changed) ? nullptr : std::move(changed), sectors);
    position += some;
    data = data.subspan(some);
  }
}

std::size_t sim_inode::read(std::uint64_t position, byte_span into) const {
  if (position >= size_)
    return 0;
  const auto total = std::min<std::uint64_t>(into.size(), size_ - position);
  for (std::uint64_t done = 0; done < total;) {
    const auto in_block = (position + done) % block_bytes;
    const auto some = std::min(total - done, block_bytes - in_block);
    if (const auto known = at(now_, (position + done) / block_bytes))
      std::memcpy(into.data() + done, known->data() + in_block, some);
    else
      std::memset(into.data() + done, 0, some);
    done += some;
  }
  return total;
}

void sim_inode::resize(std::uint64_t bytes) {
  if (bytes < size_) {
    if (const auto in_block = bytes % block_bytes; in_block != 0) {
      const auto number = bytes / block_bytes;
      if (const auto known = at(now_, number)) {
        auto cut = std::make_shared<block>(*known);
        std::memset(cut->data() + in_block, 0, block_bytes - in_block);
        put(number, std::move(cut),
            static_cast<sector_set>(all_sectors << (in_block / sector_bytes)));
      }
    }
    const auto keep = align_up(bytes, block_bytes) / block_bytes;
    for (auto cut = now_.lower_bound(keep); cut != now_.end(); cut = now_.lower_bound(keep)) {
      const auto number = cut->first;
      put(number, nullptr, all_sectors);
      now_.erase(number);
    }
    allocated_ = std::min(allocated_, align_up(bytes, block_bytes));
  }
  size_ = bytes;
}

void sim_inode::allocate(std::uint64_t bytes) {
  allocated_ = std::max(allocated_, align_up(bytes, block_bytes));
  size_ = std::max(size_, bytes);
}

std::uint64_t sim_inode::next_data(std::uint64_t position) const {
  auto found = now_.lower_bound(position / block_bytes);
  while (found != now_.end() && found->second == nullptr)
    ++found;
  if (found == now_.end())
    return std::max(position, size_);
  return std::max(position, found->first * block_bytes);
}

void sim_inode::keep_sector(std::uint64_t number, std::size_t sector, const block_ref& from) {
  auto changed = std::make_shared<block>();
  if (const auto known = at(durable_, number))
    *changed = *known;
  const auto* source = from == nullptr ? zero_block.data() : from->data();
  std::memcpy(changed->data() + sector * sector_bytes, source + sector * sector_bytes,
              sector_bytes);
  durable_[number] = std::move(changed);
}

void sim_inode::sync() {
  for (const auto& [number, dirty] : dirty_) {
    const auto newest = at(now_, number);
    if (!forgotten_.contains(number)) {
      durable_[number] = newest;
      continue;
    }
    for (std::size_t sector = 0; sector < block_sectors; ++sector)
      if ((dirty.sectors >> sector & 1) != 0)
        keep_sector(number, sector, newest);
  }
  dirty_.clear();
  durable_size_ = size_;
}

void sim_inode::fail_sync(random_stream& random) {
  const bool forgets_all = random.coin();
  const bool shows_old = random.below(3) == 0;
  for (const auto& [number, dirty] : dirty_) {
    const auto newest = at(now_, number);
    for (std::size_t sector = 0; sector < block_sectors; ++sector) {
      if ((dirty.sectors >> sector & 1) == 0)
        continue;
      if (forgets_all || random.coin())
        forgotten_[number] |= static_cast<sector_set>(1U << sector);
      else
        keep_sector(number, sector, newest);
    }
    if (shows_old && forgotten_.contains(number)) {
      now_[number] = at(durable_, number);
      forgotten_.erase(number);
    }
  }
  dirty_.clear();
}

void sim_inode::fail_sync() {
  for (const auto& [number, dirty] : dirty_)
    forgotten_[number] |= dirty.sectors;
  dirty_.clear();
}

void sim_inode::forget_cached() {
  for (const auto& [number, sectors] : forgotten_) {
    auto shown = std::make_shared<block>();
    if (const auto known = at(now_, number))
      *shown = *known;
    const auto kept = at(durable_, number);
    for (std::size_t sector = 0; sector < block_sectors; ++sector)
      if ((sectors >> sector & 1) != 0)
        std::memcpy(shown->data() + sector * sector_bytes,
                    (kept == nullptr ? zero_block : *kept).data() + sector * sector_bytes,
                    sector_bytes);
    now_[number] = std::move(shown);
  }
  forgotten_.clear();
}

void sim_inode::flip(std::uint64_t position, unsigned bit) {
  const auto number = position / block_bytes;
  for (auto* blocks : {&now_, &durable_}) {
    auto changed = std::make_shared<block>();
    if (const auto known = at(*blocks, number))
      *changed = *known;
    (*changed)[position % block_bytes] ^= std::byte{static_cast<unsigned char>(1U << bit)};
    (*blocks)[number] = std::move(changed);
  }
}

void sim_inode::crash(random_stream& random, fault_counts& counts) {
  constexpr unsigned shares[] = {0, 500, 900, 1000};
  const auto keep_per_mille = random.pick(shares);
  bool lost = false;
  bool reordered = false;
  for (auto& [number, dirty] : dirty_)
    for (std::size_t sector = 0; sector < block_sectors; ++sector) {
      if ((dirty.sectors >> sector & 1) == 0)
        continue;
      if (random.below(1000) >= keep_per_mille) {
        lost = true;
        continue;
      }
      reordered = reordered || lost;
      std::vector<const version*> candidates;
      for (const auto& one : dirty.versions)
        if ((one.sectors >> sector & 1) != 0)
          candidates.push_back(&one);
      if (candidates.size() > 1 && random.below(4) == 0) {
        keep_sector(number, sector, candidates[random.below(candidates.size() - 1)]->content);
        counts.note(fault::older_version_kept);
      } else {
        keep_sector(number, sector, at(now_, number));
      }
    }
  if (lost)
    counts.note(fault::sectors_lost);
  if (reordered)
    counts.note(fault::sectors_reordered);
  if (durable_size_ != size_) {
    if (random.coin())
      durable_size_ = size_;
    else
      counts.note(fault::size_lost);
  }
  now_ = durable_;
  size_ = durable_size_;
  // What lies behind the size is not there.
  const auto kept = size_;
  size_ = ~std::uint64_t{0};
  resize(kept);
  allocated_ = align_up(size_, block_bytes);
  durable_ = now_;
  dirty_.clear();
  forgotten_.clear();
}

} // namespace lance::sim
