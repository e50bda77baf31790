// A disk in memory that forgets what was not synced. Everything random comes from one seed.
//
// Crash model: per 512-byte sector, an unsynced write is there or is not; a file's unsynced size is
// there or is not; of the unsynced changes to a directory a random front is there. Faults: the nth
// write, flush or read fails; the disk is full at a number of bytes.
//
// Asynchronous requests wait until step() or settle() completes them; cold deeds happen at once.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "runtime/check.hpp"
#include "storage/file.hpp"
#include "storage/layout.hpp"
#include "storage/options.hpp"

namespace lance::storage::testing {

inline constexpr std::uint64_t sector_bytes = 512;

using block = std::array<std::byte, block_bytes>;
using block_map = std::map<std::uint64_t, std::shared_ptr<const block>>; // absent: zeros

struct sim_inode {
  block_map now;
  block_map durable;
  std::uint64_t size = 0;
  std::uint64_t durable_size = 0;
  std::uint64_t allocated = 0;      // bytes a write cannot fail in
  std::set<std::uint64_t> unsynced; // sectors

  void write(std::uint64_t position, byte_view data) {
    size = std::max<std::uint64_t>(size, position + data.size());
    while (!data.empty()) {
      const auto number = position / block_bytes;
      const auto in_block = position % block_bytes;
      const auto some = std::min<std::uint64_t>(data.size(), block_bytes - in_block);
      auto changed = std::make_shared<block>();
      if (const auto known = now.find(number); known != now.end())
        *changed = *known->second;
      std::memcpy(changed->data() + in_block, data.data(), some);
      now[number] = changed;
      for (auto at = position / sector_bytes; at <= (position + some - 1) / sector_bytes; ++at)
        unsynced.insert(at);
      position += some;
      data = data.subspan(some);
    }
  }
  [[nodiscard]] std::size_t read(std::uint64_t position, byte_span into) const {
    if (position >= size)
      return 0;
    const auto total = std::min<std::uint64_t>(into.size(), size - position);
    for (std::uint64_t done = 0; done < total;) {
      const auto in_block = (position + done) % block_bytes;
      const auto some = std::min(total - done, block_bytes - in_block);
      const auto known = now.find((position + done) / block_bytes);
      if (known == now.end())
        std::memset(into.data() + done, 0, some);
      else
        std::memcpy(into.data() + done, known->second->data() + in_block, some);
      done += some;
    }
    return total;
  }
  void resize(std::uint64_t bytes) {
    if (bytes < size) {
      const auto keep = align_up(bytes, block_bytes) / block_bytes;
      if (bytes % block_bytes != 0) {
        std::vector<std::byte> zeros(align_up(bytes, block_bytes) - bytes);
        const auto before = size;
        write(bytes, zeros);
        size = before;
      }
      for (auto at = now.lower_bound(keep); at != now.end(); at = now.erase(at))
        for (std::uint64_t sector = 0; sector < block_bytes / sector_bytes; ++sector)
          unsynced.insert(at->first * (block_bytes / sector_bytes) + sector);
      allocated = std::min(allocated, align_up(bytes, block_bytes));
    }
    size = bytes;
  }
  void sync() {
    for (const auto sector : unsynced)
      copy_sector(sector);
    unsynced.clear();
    durable_size = size;
  }
  void crash(std::mt19937_64& random) {
    const auto keep_per_mille = std::array<unsigned, 4>{0, 500, 900, 1000}[random() % 4];
    for (const auto sector : unsynced)
      if (random() % 1000 < keep_per_mille)
        copy_sector(sector);
    if (random() % 2 == 0)
      durable_size = size;
    unsynced.clear();
    now = durable;
    size = durable_size;
    allocated = align_down(size, block_bytes);
    // What lies behind the size is not there.
    const auto kept = size;
    size = ~std::uint64_t{0};
    resize(kept);
    durable = now;
    unsynced.clear();
  }
  [[nodiscard]] std::uint64_t used() const {
    return std::max(allocated, static_cast<std::uint64_t>(now.size()) * block_bytes);
  }

 private:
  void copy_sector(std::uint64_t sector) {
    const auto number = sector / (block_bytes / sector_bytes);
    const auto in_block = sector % (block_bytes / sector_bytes) * sector_bytes;
    const auto from = now.find(number);
    auto changed = std::make_shared<block>();
    if (const auto known = durable.find(number); known != durable.end())
      *changed = *known->second;
    if (from == now.end())
      std::memset(changed->data() + in_block, 0, sector_bytes);
    else
      std::memcpy(changed->data() + in_block, from->second->data() + in_block, sector_bytes);
    durable[number] = changed;
  }
};

struct sim_faults {
  // Counts down; the request that finds 0 fails, once.
  std::optional<unsigned> write_in;
  std::optional<unsigned> flush_in;
  std::optional<unsigned> read_in;
  int error = EIO;
};

class sim_disk final : public disk {
 public:
  explicit sim_disk(std::uint64_t seed = 1) : random_(seed) { directories_.insert("."); }

  // -- what tests do to it -----------------------------------------------------------------------
  sim_faults faults;
  std::uint64_t capacity = ~std::uint64_t{0};
  bool hold_requests = true; ///< false: requests complete before write() and read() return
  std::function<void(const std::string& from, const std::string& to)> on_rename;
  std::uint64_t flushes = 0;
  std::uint64_t writes = 0;

  /// Completes one request under way, chosen at random; false when there is none.
  bool step() {
    if (under_way_.empty())
      return false;
    const auto at = random_() % under_way_.size();
    auto todo = std::move(under_way_[at]);
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(at));
    todo();
    return true;
  }
  void settle() {
    while (step()) {
    }
  }
  /// Power is lost. Open files are dead from now on; requests under way are forgotten, some of
  /// their bytes may be there.
  void crash() {
    for (auto& torn : torn_writes_)
      for (const auto& [position, bytes] : torn.parts)
        if (random_() % 2 == 0)
          torn.inode->write(position, bytes);
    forget_requests();
    for (auto& [name, inode] : durable_names_before_crash())
      inode->crash(random_);
    names_ = durable_names_;
    directories_ = durable_directories_;
    pending_.clear();
  }
  /// The process dies, the machine lives: requests under way are forgotten, nothing else.
  void kill() { forget_requests(); }

  [[nodiscard]] sim_inode& inode(const std::string& path) { return *names_.at(path); }
  [[nodiscard]] std::vector<std::byte> content(const std::string& path) {
    std::vector<std::byte> bytes(inode(path).size);
    (void)inode(path).read(0, bytes);
    return bytes;
  }
  void overwrite(const std::string& path, std::uint64_t position, byte_view data) {
    inode(path).write(position, data);
    inode(path).sync();
  }
  [[nodiscard]] std::uint64_t used() const {
    std::set<const sim_inode*> seen;
    std::uint64_t sum = 0;
    for (const auto& [name, inode] : names_)
      if (seen.insert(inode.get()).second)
        sum += inode->used();
    return sum;
  }

  // -- the door ----------------------------------------------------------------------------------
  result<std::unique_ptr<file>> open(const std::string& path, const open_options& how) override;
  result<> rename(const std::string& from, const std::string& to) override {
    if (directories_.contains(from))
      return rename_directory(from, to);
    const auto known = names_.find(from);
    if (known == names_.end())
      return fail(errc::io_failed, ENOENT);
    if (on_rename)
      on_rename(from, to);
    auto inode = known->second;
    names_.erase(known);
    names_[to] = inode;
    pending_.push_back({from, to, inode});
    return {};
  }
  result<> remove(const std::string& path) override {
    if (names_.erase(path) == 0)
      return fail(errc::io_failed, ENOENT);
    pending_.push_back({path, {}, nullptr});
    return {};
  }
  result<> remove_directory(const std::string& path) override {
    directories_.erase(path);
    durable_directories_.erase(path);
    return {};
  }
  result<std::vector<std::string>> list(const std::string& directory) override {
    if (names_.contains(directory))
      return fail(errc::io_failed, ENOTDIR);
    if (!directories_.contains(directory))
      return fail(errc::io_failed, ENOENT);
    std::vector<std::string> names;
    for (const auto& [name, inode] : names_)
      if (layout::parent(name) == directory)
        names.push_back(name.substr(directory.size() + 1));
    for (const auto& name : directories_)
      if (name != "." && layout::parent(name) == directory)
        names.push_back(name.substr(directory.size() + 1));
    std::sort(names.begin(), names.end());
    return names;
  }
  bool exists(const std::string& path) override {
    return names_.contains(path) || directories_.contains(path);
  }
  result<> make_directories(const std::string& path) override {
    for (auto at = path; directories_.insert(at).second; at = layout::parent(at))
      durable_directories_.insert(at);
    return {};
  }
  result<> sync_directory(const std::string& directory) override {
    if (faults.flush_in == 0U)
      return fault(faults.flush_in);
    std::deque<change> rest;
    for (auto& one : pending_)
      if (layout::parent(one.from) == directory ||
          (!one.to.empty() && layout::parent(one.to) == directory))
        apply(one);
      else
        rest.push_back(one);
    pending_ = std::move(rest);
    return {};
  }
  result<disk_space> space(const std::string&) override {
    return disk_space{capacity, capacity - std::min(capacity, used())};
  }
  result<std::unique_ptr<mapping>> map(const std::string& path) override;
  result<std::unique_ptr<file_lock>> lock(const std::string& path) override;

 private:
  friend class sim_file;
  friend class sim_lock;
  struct change { // a name made (from == to), moved, or removed (to empty)
    std::string from;
    std::string to;
    std::shared_ptr<sim_inode> inode;
  };
  struct torn_write {
    const write_request* request;
    std::shared_ptr<sim_inode> inode;
    std::vector<std::pair<std::uint64_t, std::vector<std::byte>>> parts;
  };

  void apply(const change& one) {
    durable_names_.erase(one.from);
    if (!one.to.empty())
      durable_names_[one.to] = one.inode;
  }
  // Applies a random front of each directory's changes; then all inodes that still have a name.
  std::map<std::string, std::shared_ptr<sim_inode>> durable_names_before_crash() {
    std::map<std::string, std::deque<change>> by_directory;
    for (auto& one : pending_)
      by_directory[layout::parent(one.from)].push_back(one);
    for (auto& [directory, changes] : by_directory) {
      const auto keep = random_() % (changes.size() + 1);
      for (std::size_t i = 0; i < keep; ++i)
        apply(changes[i]);
    }
    return durable_names_;
  }
  void forget_requests() {
    under_way_.clear();
    torn_writes_.clear();
    locks_.clear();
    ++generation_;
  }
  result<> rename_directory(const std::string& from, const std::string& to) {
    const auto move_all = [&](auto& names) {
      std::map<std::string, std::shared_ptr<sim_inode>> moved;
      for (auto& [name, inode] : names)
        moved[name.starts_with(from + '/') ? to + name.substr(from.size()) : name] = inode;
      names = std::move(moved);
    };
    move_all(names_);
    move_all(durable_names_);
    for (auto* set : {&directories_, &durable_directories_}) {
      std::set<std::string> moved;
      for (const auto& name : *set)
        moved.insert(name == from || name.starts_with(from + '/') ? to + name.substr(from.size())
                                                                  : name);
      *set = std::move(moved);
    }
    return {};
  }
  result<> fault(std::optional<unsigned>& counter) {
    counter.reset();
    return fail(errc::io_failed, faults.error);
  }
  // True when this one fails.
  bool count_down(std::optional<unsigned>& counter) {
    if (!counter)
      return false;
    if (*counter > 0) {
      --*counter;
      return false;
    }
    counter.reset();
    return true;
  }

  std::mt19937_64 random_;
  std::map<std::string, std::shared_ptr<sim_inode>> names_;
  std::map<std::string, std::shared_ptr<sim_inode>> durable_names_;
  std::set<std::string> directories_;
  std::set<std::string> durable_directories_{"."};
  std::deque<change> pending_;
  std::vector<std::function<void()>> under_way_;
  std::deque<torn_write> torn_writes_;
  std::set<std::string> locks_;
  std::uint64_t generation_ = 0;
};

class sim_file final : public file {
 public:
  sim_file(sim_disk& home, std::shared_ptr<sim_inode> inode)
      : home_(home), inode_(std::move(inode)), generation_(home.generation_) {}

  void write(write_request& request) override {
    check_alive();
    sim_disk::torn_write torn{&request, inode_, {}};
    for (const auto& part : request.parts)
      torn.parts.emplace_back(part.position,
                              std::vector<std::byte>(part.data.begin(), part.data.end()));
    home_.torn_writes_.push_back(std::move(torn));
    run([this, &request] { finish_write(request); });
  }
  void read(read_request& request) override {
    check_alive();
    run([this, &request] {
      if (home_.count_down(home_.faults.read_in))
        return request.read_done(fail(errc::io_failed, home_.faults.error));
      request.read_done(inode_->read(request.position, request.into));
    });
  }
  result<> allocate(std::uint64_t bytes) override {
    check_alive();
    const auto rounded = align_up(bytes, block_bytes);
    const auto before = inode_->allocated;
    inode_->allocated = std::max(before, rounded);
    if (home_.used() > home_.capacity) {
      inode_->allocated = before;
      return fail(errc::io_failed, ENOSPC);
    }
    inode_->size = std::max(inode_->size, bytes);
    return {};
  }
  result<> truncate(std::uint64_t bytes) override {
    check_alive();
    inode_->resize(bytes);
    return {};
  }
  result<std::uint64_t> size() override { return inode_->size; }
  result<> sync() override {
    check_alive();
    if (home_.count_down(home_.faults.flush_in))
      return fail(errc::io_failed, home_.faults.error);
    ++home_.flushes;
    inode_->sync();
    return {};
  }
  result<std::size_t> read_now(std::uint64_t position, byte_span into) override {
    return inode_->read(position, into);
  }
  result<> write_now(std::uint64_t position, byte_view data) override {
    check_alive();
    return put(position, data);
  }
  result<std::uint64_t> next_data(std::uint64_t position) override {
    const auto found = inode_->now.lower_bound(position / block_bytes);
    if (found == inode_->now.end())
      return inode_->size;
    return std::max(position, found->first * block_bytes);
  }

 private:
  void check_alive() const { LANCE_CHECK(generation_ == home_.generation_); }
  void run(std::function<void()> deed) {
    if (home_.hold_requests)
      home_.under_way_.push_back(std::move(deed));
    else
      deed();
  }
  result<> put(std::uint64_t position, byte_view data) {
    const auto end = position + data.size();
    if (end > inode_->allocated && home_.used() + (end - inode_->allocated) > home_.capacity)
      return fail(errc::io_failed, ENOSPC);
    inode_->write(position, data);
    return {};
  }
  void finish_write(write_request& request) {
    std::erase_if(home_.torn_writes_, [&](const auto& one) { return one.request == &request; });
    for (const auto& part : request.parts) {
      if (home_.count_down(home_.faults.write_in))
        return request.written(fail(errc::io_failed, home_.faults.error));
      ++home_.writes;
      if (const auto done = put(part.position, part.data); !done)
        return request.written(done);
    }
    request.parts_written();
    request.written(request.flush ? sync() : result<>{});
  }

  sim_disk& home_;
  std::shared_ptr<sim_inode> inode_;
  std::uint64_t generation_;
};

class sim_mapping final : public mapping {
 public:
  explicit sim_mapping(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] byte_view bytes() const noexcept override { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class sim_lock final : public file_lock {
 public:
  sim_lock(sim_disk& home, std::string path) : home_(home), path_(std::move(path)) {}
  ~sim_lock() override { home_.locks_.erase(path_); }
  sim_lock(const sim_lock&) = delete;
  sim_lock& operator=(const sim_lock&) = delete;

 private:
  sim_disk& home_;
  std::string path_;
};

inline result<std::unique_ptr<file>> sim_disk::open(const std::string& path,
                                                    const open_options& how) {
  auto known = names_.find(path);
  if (known == names_.end()) {
    if (!how.create || !directories_.contains(layout::parent(path)))
      return fail(errc::io_failed, ENOENT);
    known = names_.emplace(path, std::make_shared<sim_inode>()).first;
    pending_.push_back({path, path, known->second});
  }
  return std::make_unique<sim_file>(*this, known->second);
}

inline result<std::unique_ptr<mapping>> sim_disk::map(const std::string& path) {
  if (!names_.contains(path))
    return fail(errc::io_failed, ENOENT);
  return std::make_unique<sim_mapping>(content(path));
}

inline result<std::unique_ptr<file_lock>> sim_disk::lock(const std::string& path) {
  if (!locks_.insert(path).second)
    return fail(errc::io_failed, EWOULDBLOCK);
  return std::make_unique<sim_lock>(*this, path);
}

} // namespace lance::storage::testing
