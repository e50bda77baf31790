#include "tests/sim/sim_disk.hpp"

#include <algorithm>
#include <array>

#include "runtime/check.hpp"

namespace lance::sim {

using storage::block_bytes;

namespace {

std::string parent(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? "." : std::string{path.substr(0, slash)};
}

class sim_mapping final : public storage::mapping {
 public:
  explicit sim_mapping(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] byte_view bytes() const noexcept override { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

} // namespace

class sim_file final : public storage::file {
 public:
  sim_file(sim_disk& home, std::shared_ptr<sim_inode> inode, bool direct)
      : home_(home), inode_(std::move(inode)), direct_(direct), generation_(home.generation_) {}

  void write(storage::write_request& request) override;
  void read(storage::read_request& request) override;
  result<> allocate(std::uint64_t bytes) override;
  result<> truncate(std::uint64_t bytes) override;
  result<std::uint64_t> size() override;
  result<> sync() override;
  result<> forget_cached() override;
  void set_read_ahead(bool) noexcept override {}
  result<std::size_t> read_now(std::uint64_t position, byte_span into) override;
  result<> write_now(std::uint64_t position, byte_view data) override;
  result<std::uint64_t> next_data(std::uint64_t position) override;

 private:
  void check_alive() const { LANCE_CHECK(generation_ == home_.generation_); }
  void changes() const {
    if (home_.on_change)
      home_.on_change(inode_->name);
  }
  result<> put(std::uint64_t position, byte_view data);
  result<> put_parts(storage::write_request& request);
  result<> flush();
  void finish_write(storage::write_request& request);
  void finish_read(storage::read_request& request);

  sim_disk& home_;
  std::shared_ptr<sim_inode> inode_;
  bool direct_;
  std::uint64_t generation_;
};

class sim_lock final : public storage::file_lock {
 public:
  sim_lock(sim_disk& home, std::string path) : home_(home), path_(std::move(path)) {}
  ~sim_lock() override { home_.locks_.erase(path_); }
  sim_lock(const sim_lock&) = delete;
  sim_lock& operator=(const sim_lock&) = delete;

 private:
  sim_disk& home_;
  std::string path_;
};

// -- files ---------------------------------------------------------------------------------------

void sim_file::write(storage::write_request& request) {
  check_alive();
  if (!home_.lives())
    return; // never ends: whoever waits dies as well
  sim_disk::write_under_way started{&request, inode_, {}};
  std::uint64_t bytes = 0;
  for (const auto& part : request.parts) {
    started.parts.emplace_back(part.position,
                               std::vector<std::byte>(part.data.begin(), part.data.end()));
    bytes += part.data.size();
  }
  home_.writes_under_way_.push_back(std::move(started));
  home_.note("write", {request.parts.empty() ? 0 : request.parts.front().position, bytes,
                       request.flush ? 1U : 0U});
  home_.run(50 * us_in_ns + bytes, [this, &request] { finish_write(request); });
}

result<> sim_file::put_parts(storage::write_request& request) {
  for (const auto& part : request.parts) {
    const bool unlucky = home_.faults_.chance(home_.rates.write_failed);
    if (unlucky || home_.count_down(home_.faults.write_in)) {
      home_.count(fault::write_failed);
      const auto some = align_down(home_.faults_.below(part.data.size() + 1), sector_bytes);
      if (some > 0 && unlucky)
        inode_->write(part.position, part.data.first(some));
      return fail(errc::io_failed,
                  unlucky && home_.faults_.below(4) == 0 ? ENOSPC : home_.faults.error);
    }
    ++home_.writes;
    if (const auto done = put(part.position, part.data); !done)
      return done;
  }
  return {};
}

void sim_file::finish_write(storage::write_request& request) {
  if (!home_.lives())
    return;
  std::erase_if(home_.writes_under_way_, [&](const auto& one) { return one.request == &request; });
  if (const auto put = put_parts(request); !put) {
    home_.note("write_failed", {static_cast<std::uint64_t>(put.error().system)});
    return request.written(put);
  }
  request.parts_written();
  if (!request.flush)
    return request.written({});
  const auto finish = [this, &request] {
    if (home_.lives())
      request.written(flush());
  };
  if (home_.later)
    home_.run(100 * us_in_ns, finish);
  else
    finish();
}

void sim_file::read(storage::read_request& request) {
  check_alive();
  home_.reads_under_way_.push_back(&request);
  if (home_.lives())
    home_.run(60 * us_in_ns, [this, &request] { finish_read(request); });
}

void sim_file::finish_read(storage::read_request& request) {
  if (!home_.lives())
    return;
  std::erase(home_.reads_under_way_, &request);
  if (home_.faults_.chance(home_.rates.read_failed) || home_.count_down(home_.faults.read_in)) {
    home_.count(fault::read_failed);
    home_.note("read_failed");
    return request.read_done(fail(errc::io_failed, home_.faults.error));
  }
  const auto got = inode_->read(request.position, request.into);
  if (got > 0 && home_.faults_.chance(home_.rates.flipped)) {
    home_.count(fault::bit_flipped_on_read);
    request.into[home_.faults_.below(got)] ^=
        std::byte{static_cast<unsigned char>(1U << home_.faults_.below(8))};
  }
  if (!direct_ && got > 0) {
    home_.buffered_read_bytes += got;
    if (home_.faults.page_cache_rotted)
      request.into[got / 2] ^= std::byte{1};
  }
  home_.note("read", {request.position, got});
  request.read_done(got);
}

result<> sim_file::allocate(std::uint64_t bytes) {
  check_alive();
  if (const auto lucky = home_.luck(); !lucky)
    return lucky;
  const auto before = inode_->allocated();
  const auto size = inode_->size();
  inode_->allocate(bytes);
  if (home_.capacity != ~std::uint64_t{0} && home_.used() > home_.capacity &&
      inode_->allocated() > before) {
    inode_->unallocate(before);
    inode_->resize(size);
    home_.count(fault::disk_full);
    return fail(errc::io_failed, ENOSPC);
  }
  return {};
}

result<> sim_file::truncate(std::uint64_t bytes) {
  check_alive();
  if (const auto lucky = home_.luck(); !lucky)
    return lucky;
  if (bytes != inode_->size())
    changes();
  inode_->resize(bytes);
  return {};
}

result<std::uint64_t> sim_file::size() {
  if (const auto lucky = home_.luck(); !lucky)
    return tl::unexpected(lucky.error());
  return inode_->size();
}

result<> sim_file::sync() {
  check_alive();
  if (!home_.lives())
    return fail(errc::io_failed, EIO);
  return flush();
}

result<> sim_file::forget_cached() {
  if (const auto synced = sync(); !synced)
    return synced;
  inode_->forget_cached();
  return {};
}

result<> sim_file::flush() {
  const bool unlucky = home_.faults_.chance(home_.rates.flush_failed);
  const bool told = !unlucky && home_.count_down(home_.faults.flush_in);
  if (unlucky)
    inode_->fail_sync(home_.crash_);
  if (told)
    inode_->fail_sync();
  if (unlucky || told) {
    home_.count(fault::flush_failed);
    home_.note("flush_failed");
    if (home_.on_failed_flush)
      home_.on_failed_flush(inode_->name);
    return fail(errc::io_failed,
                unlucky && home_.faults_.below(4) == 0 ? ENOSPC : home_.faults.error);
  }
  ++home_.flushes;
  inode_->sync();
  return {};
}

result<std::size_t> sim_file::read_now(std::uint64_t position, byte_span into) {
  if (const auto lucky = home_.luck(); !lucky)
    return tl::unexpected(lucky.error());
  return inode_->read(position, into);
}

result<> sim_file::write_now(std::uint64_t position, byte_view data) {
  check_alive();
  if (const auto lucky = home_.luck(); !lucky)
    return lucky;
  return put(position, data);
}

result<std::uint64_t> sim_file::next_data(std::uint64_t position) {
  if (const auto lucky = home_.luck(); !lucky)
    return tl::unexpected(lucky.error());
  return inode_->next_data(position);
}

result<> sim_file::put(std::uint64_t position, byte_view data) {
  const auto end = position + data.size();
  if (home_.capacity != ~std::uint64_t{0} && end > inode_->allocated() &&
      home_.used() + (end - inode_->allocated()) > home_.capacity) {
    home_.count(fault::disk_full);
    return fail(errc::io_failed, ENOSPC);
  }
  changes();
  inode_->write(position, data);
  home_.written_bytes += data.size();
  return {};
}

// -- time and luck -------------------------------------------------------------------------------

bool sim_disk::lives() {
  if (dead_)
    return false;
  if (deeds_left_ == 0) {
    dead_ = true;
    note("died");
    return false;
  }
  if (deeds_left_ != ~std::uint64_t{0})
    --deeds_left_;
  return true;
}

result<> sim_disk::luck() {
  if (!lives())
    return fail(errc::io_failed, EIO);
  if (!faults_.chance(rates.cold_failed))
    return {};
  count(fault::cold_deed_failed);
  note("cold_failed");
  constexpr int kinds[] = {EIO, EIO, EMFILE, ENOSPC};
  return fail(errc::io_failed, faults_.pick(kinds));
}

std::uint64_t sim_disk::latency(std::uint64_t usual_ns) {
  if (latency_.chance(rates.slow)) {
    count(fault::slow_operation);
    return latency_.between(20 * ms_in_ns, latency_.below(10) == 0 ? 2 * s_in_ns : 100 * ms_in_ns);
  }
  return usual_ns / 2 + latency_.below(usual_ns + 1);
}

void sim_disk::run(std::uint64_t usual_ns, std::function<void()> deed) {
  if (later)
    later(latency(usual_ns), [this, generation = generation_, deed = std::move(deed)] {
      if (generation == generation_)
        deed();
    });
  else if (hold_requests)
    under_way_.push_back(std::move(deed));
  else
    deed();
}

bool sim_disk::count_down(std::optional<unsigned>& counter) {
  if (!counter)
    return false;
  if (*counter > 0) {
    --*counter;
    return false;
  }
  counter.reset();
  return true;
}

bool sim_disk::step() {
  if (under_way_.empty())
    return false;
  const auto at = latency_.below(under_way_.size());
  auto todo = std::move(under_way_[at]);
  under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(at));
  todo();
  return true;
}

// -- the end -------------------------------------------------------------------------------------

void sim_disk::crash() {
  note("power_cut");
  count(fault::power_cut);
  tear_writes();
  forget_requests();
  keep_some_names();
  fault_counts nobody;
  for (auto& [name, inode] : durable_names_) {
    inode->crash(crash_, counted != nullptr ? *counted : nobody);
    inode->name = name;
  }
  names_ = durable_names_;
  directories_ = durable_directories_;
  pending_.clear();
}

// Of each request under way some sectors are on the device, in no order.
void sim_disk::tear_writes() {
  for (auto& started : writes_under_way_) {
    std::uint64_t there = 0;
    std::uint64_t all = 0;
    const auto share = crash_.below(101);
    for (const auto& [position, bytes] : started.parts)
      for (std::size_t at = 0; at < bytes.size(); at += sector_bytes) {
        ++all;
        if (crash_.below(100) >= share)
          continue;
        ++there;
        started.inode->write(position + at,
                             byte_view{bytes}.subspan(at).first(
                                 std::min<std::size_t>(sector_bytes, bytes.size() - at)));
      }
    if (there > 0 && there < all)
      count(fault::write_torn);
  }
}

void sim_disk::cancel_reads() {
  while (!reads_under_way_.empty()) {
    auto* request = reads_under_way_.back();
    reads_under_way_.pop_back();
    request->read_done(fail(errc::io_failed, ECANCELED));
  }
}

void sim_disk::forget_requests() {
  LANCE_CHECK(later == nullptr || reads_under_way_.empty());
  reads_under_way_.clear();
  under_way_.clear();
  writes_under_way_.clear();
  locks_.clear();
  ++generation_;
  dead_ = false;
  deeds_left_ = ~std::uint64_t{0};
}

void sim_disk::apply(const change& one) {
  durable_names_.erase(one.from);
  if (!one.to.empty())
    durable_names_[one.to] = one.inode;
}

// Of each directory's changes a random front.
void sim_disk::keep_some_names() {
  std::map<std::string, std::deque<change>> by_directory;
  for (auto& one : pending_)
    by_directory[parent(one.from)].push_back(one);
  for (auto& [directory, changes] : by_directory) {
    const auto keep = crash_.below(changes.size() + 1);
    for (std::size_t i = 0; i < keep; ++i)
      apply(changes[i]);
    if (keep < changes.size())
      count(fault::names_lost);
  }
}

// -- names ---------------------------------------------------------------------------------------

std::vector<std::byte> sim_disk::content(const std::string& path) {
  std::vector<std::byte> bytes(inode(path).size());
  (void)inode(path).read(0, bytes);
  return bytes;
}

void sim_disk::overwrite(const std::string& path, std::uint64_t position, byte_view data) {
  inode(path).write(position, data);
  inode(path).sync();
}

std::uint64_t sim_disk::used() const {
  std::set<const sim_inode*> seen;
  std::uint64_t sum = 0;
  for (const auto& [name, inode] : names_)
    if (seen.insert(inode.get()).second)
      sum += inode->used();
  return sum;
}

std::vector<std::string> sim_disk::files() const {
  std::vector<std::string> paths;
  for (const auto& [name, inode] : names_)
    paths.push_back(name);
  return paths;
}

result<std::unique_ptr<storage::file>> sim_disk::open(const std::string& path,
                                                      const storage::open_options& how) {
  if (const auto lucky = luck(); !lucky)
    return tl::unexpected(lucky.error());
  auto known = names_.find(path);
  if (known == names_.end()) {
    if (!how.create || !directories_.contains(parent(path)))
      return fail(errc::io_failed, ENOENT);
    if (faults.no_new_files)
      return fail(errc::io_failed, faults.error);
    known = names_.emplace(path, std::make_shared<sim_inode>()).first;
    known->second->name = path;
    note("made " + path);
    pending_.push_back({path, path, known->second});
  }
  return std::make_unique<sim_file>(*this, known->second, how.direct);
}

result<> sim_disk::rename(const std::string& from, const std::string& to) {
  if (const auto lucky = luck(); !lucky)
    return lucky;
  if (directories_.contains(from))
    return rename_directory(from, to);
  const auto known = names_.find(from);
  if (known == names_.end())
    return fail(errc::io_failed, ENOENT);
  if (on_rename)
    on_rename(from, to);
  note("renamed " + from + " to " + to);
  auto inode = known->second;
  names_.erase(known);
  names_[to] = inode;
  inode->name = to;
  pending_.push_back({from, to, inode});
  return {};
}

result<> sim_disk::rename_directory(const std::string& from, const std::string& to) {
  const auto move_all = [&](name_map& names) {
    name_map moved;
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

result<> sim_disk::remove(const std::string& path) {
  if (const auto lucky = luck(); !lucky)
    return lucky;
  if (names_.erase(path) == 0)
    return fail(errc::io_failed, ENOENT);
  pending_.push_back({path, {}, nullptr});
  note("removed " + path);
  return {};
}

result<> sim_disk::remove_directory(const std::string& path) {
  directories_.erase(path);
  durable_directories_.erase(path);
  return {};
}

result<std::vector<std::string>> sim_disk::list(const std::string& directory) {
  if (const auto lucky = luck(); !lucky)
    return tl::unexpected(lucky.error());
  if (names_.contains(directory))
    return fail(errc::io_failed, ENOTDIR);
  if (!directories_.contains(directory))
    return fail(errc::io_failed, ENOENT);
  std::vector<std::string> names;
  for (const auto& [name, inode] : names_)
    if (parent(name) == directory)
      names.push_back(name.substr(directory.size() + 1));
  for (const auto& name : directories_)
    if (name != "." && parent(name) == directory)
      names.push_back(name.substr(directory.size() + 1));
  std::sort(names.begin(), names.end());
  return names;
}

result<std::uint64_t> sim_disk::name_count(const std::string& path) {
  const auto known = names_.find(path);
  if (known == names_.end())
    return fail(errc::io_failed, ENOENT);
  std::uint64_t count = 0;
  for (const auto& [name, inode] : names_)
    count += inode == known->second ? 1 : 0;
  return count;
}

result<> sim_disk::make_directories(const std::string& path) {
  if (const auto lucky = luck(); !lucky)
    return lucky;
  for (auto at = path; directories_.insert(at).second; at = parent(at))
    durable_directories_.insert(at);
  return {};
}

result<> sim_disk::sync_directory(const std::string& directory) {
  if (const auto lucky = luck(); !lucky)
    return lucky;
  if (faults.flush_in == 0U) {
    faults.flush_in.reset();
    return fail(errc::io_failed, faults.error);
  }
  note("synced " + directory);
  std::deque<change> rest;
  for (auto& one : pending_)
    if (parent(one.from) == directory || (!one.to.empty() && parent(one.to) == directory))
      apply(one);
    else
      rest.push_back(one);
  pending_ = std::move(rest);
  return {};
}

result<std::unique_ptr<storage::mapping>> sim_disk::map(const std::string& path) {
  if (const auto lucky = luck(); !lucky)
    return tl::unexpected(lucky.error());
  if (!names_.contains(path))
    return fail(errc::io_failed, ENOENT);
  return std::make_unique<sim_mapping>(content(path));
}

result<std::unique_ptr<storage::file_lock>> sim_disk::lock(const std::string& path) {
  if (!locks_.insert(path).second)
    return fail(errc::io_failed, EWOULDBLOCK);
  return std::make_unique<sim_lock>(*this, path);
}

} // namespace lance::sim
