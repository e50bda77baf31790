#include "tests/fault/dropfs/file_system.hpp"

#define FUSE_USE_VERSION 312

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <unordered_map>

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/mount.h>
#include <unistd.h>

namespace lance::fault {

namespace {

constexpr unsigned threads_max = 64; // more requests than that are never slow at one time
constexpr std::uint32_t name_max = 255;

struct stat facts_of(const node& which) {
  struct stat facts {};
  facts.st_ino = which.id;
  facts.st_mode = (which.directory ? S_IFDIR : S_IFREG) | which.mode;
  facts.st_nlink = which.directory ? 2 : 1;
  facts.st_uid = ::getuid();
  facts.st_gid = ::getgid();
  facts.st_size = static_cast<off_t>(which.data.size());
  facts.st_blksize = block_bytes;
  facts.st_blocks = static_cast<blkcnt_t>(which.data.blocks() * (block_bytes / sector_bytes));
  facts.st_mtim.tv_sec = facts.st_ctim.tv_sec = facts.st_atim.tv_sec = which.changed_s;
  return facts;
}

bool write_out(const node& directory, const std::filesystem::path& to) {
  std::error_code failed;
  std::filesystem::create_directories(to, failed);
  for (const auto& [name, each] : directory.now) {
    if (each->directory) {
      if (!write_out(*each, to / name))
        return false;
      continue;
    }
    std::ofstream file{to / name, std::ios::binary};
    std::vector<std::byte> piece(1 << 20);
    const auto size = each->data.size();
    for (auto at = each->data.next_data(0); at < size;) {
      const auto some = each->data.read(at, piece);
      file.seekp(static_cast<std::streamoff>(at));
      file.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(some));
      at = each->data.next_data(at + some);
    }
    file.close();
    std::filesystem::resize_file(to / name, size, failed);
    if (!file || failed)
      return false;
  }
  return true;
}

} // namespace

/// The handlers of FUSE's requests. Each finds its node, asks the rules, then does its deed under
/// the lock, unless the power has gone meanwhile.
struct file_system::kernel_side {
  struct known_node {
    node_ref which;
    std::uint64_t lookups = 0;
  };

  explicit kernel_side(file_system& owner) : home(owner) {}

  file_system& home;
  // Nodes the kernel knows, and directories being listed; under home.mutex_.
  std::unordered_map<std::uint64_t, known_node> known;
  std::unordered_map<std::uint64_t, std::vector<std::pair<std::string, node_ref>>> listings;
  std::uint64_t last_listing = 0;

  std::mutex mount_mutex; // of all below
  std::condition_variable mount_changed;
  fuse_session* session = nullptr;
  std::uint64_t mounts = 0;
  bool ending = false;

  static kernel_side& of(fuse_req_t request) {
    return *static_cast<kernel_side*>(fuse_req_userdata(request));
  }

  // 0, or what the request fails with; when 0, `guard` holds the lock and `which` is the node.
  int begin(fuse_ino_t id, const std::string& operation, std::unique_lock<std::mutex>& guard,
            node_ref& which, const char* child = nullptr) {
    std::string path;
    {
      const std::lock_guard look{home.mutex_};
      const auto found = known.find(id);
      which = id == FUSE_ROOT_ID ? home.tree_.root()
                                 : (found == known.end() ? nullptr : found->second.which);
      if (which == nullptr)
        return home.dead_ ? EIO : ESTALE;
      path = which->path;
      if (child != nullptr)
        path += (path.empty() ? "" : "/") + std::string{child};
    }
    if (const int error = home.rules_.judge(operation, path); error != 0) {
      if (operation == "fsync") {
        const std::lock_guard look{home.mutex_};
        if (!home.dead_)
          which->data.lose_sync();
      }
      return error;
    }
    guard = std::unique_lock{home.mutex_};
    return home.dead_ ? EIO : 0;
  }

  fuse_entry_param entry_of(const node_ref& which) {
    auto& held = known[which->id];
    held.which = which;
    ++held.lookups;
    fuse_entry_param entry{}; // no timeouts: the kernel asks each time
    entry.ino = which->id;
    entry.generation = 1;
    entry.attr = facts_of(*which);
    return entry;
  }

  void forget_lookups(fuse_ino_t id, std::uint64_t count) {
    const std::lock_guard guard{home.mutex_};
    const auto found = known.find(id);
    if (found == known.end())
      return;
    found->second.lookups -= std::min(found->second.lookups, count);
    if (found->second.lookups == 0)
      known.erase(found);
  }

  static void init(void*, fuse_conn_info* connection) {
    connection->max_write = connection->max_readahead = 1 << 20;
    // The kernel's memory of a file is believed until somebody has it dropped, as with a disk.
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS |
                                               FUSE_CAP_AUTO_INVAL_DATA);
  }

  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    std::unique_lock<std::mutex> guard;
    node_ref in;
    auto& self = of(request);
    if (const int error = self.begin(parent, "lookup", guard, in, name); error != 0)
      return void(fuse_reply_err(request, error));
    const auto found = self.home.tree_.find(*in, name);
    if (found == nullptr)
      return void(fuse_reply_err(request, ENOENT));
    const auto entry = self.entry_of(found);
    guard.unlock();
    fuse_reply_entry(request, &entry);
  }

  static void forget(fuse_req_t request, fuse_ino_t id, std::uint64_t count) {
    of(request).forget_lookups(id, count);
    fuse_reply_none(request);
  }

  static void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* list) {
    for (std::size_t i = 0; i < count; ++i)
      of(request).forget_lookups(list[i].ino, list[i].nlookup);
    fuse_reply_none(request);
  }

  static void getattr(fuse_req_t request, fuse_ino_t id, fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    if (const int error = of(request).begin(id, "getattr", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    const auto facts = facts_of(*which);
    guard.unlock();
    fuse_reply_attr(request, &facts, 0.0);
  }

  static void setattr(fuse_req_t request, fuse_ino_t id, struct stat* wanted, int what,
                      fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    auto& self = of(request);
    const bool sizes = (what & FUSE_SET_ATTR_SIZE) != 0;
    if (const int error = self.begin(id, sizes ? "truncate" : "setattr", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    if (sizes) {
      const auto bytes = static_cast<std::uint64_t>(wanted->st_size);
      if (const int error = self.home.tree_.may_grow(*which, bytes); error != 0)
        return void(fuse_reply_err(request, error));
      which->data.resize(bytes);
    }
    if ((what & FUSE_SET_ATTR_MODE) != 0)
      which->mode = wanted->st_mode & 07777;
    const auto facts = facts_of(*which);
    guard.unlock();
    fuse_reply_attr(request, &facts, 0.0);
  }

  static void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    std::unique_lock<std::mutex> guard;
    node_ref in;
    node_ref made;
    auto& self = of(request);
    int error = self.begin(parent, "mkdir", guard, in, name);
    if (error == 0)
      error = self.home.tree_.make(in, name, true, mode & 07777, made);
    if (error != 0)
      return void(fuse_reply_err(request, error));
    const auto entry = self.entry_of(made);
    guard.unlock();
    fuse_reply_entry(request, &entry);
  }

  static void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
                     fuse_file_info* info) {
    std::unique_lock<std::mutex> guard;
    node_ref in;
    node_ref made;
    auto& self = of(request);
    int error = self.begin(parent, "create", guard, in, name);
    if (error == 0)
      error = self.home.tree_.make(in, name, false, mode & 07777, made);
    if (error == EEXIST && (info->flags & O_EXCL) == 0) {
      made = self.home.tree_.find(*in, name);
      error = made->directory ? EISDIR : 0;
    }
    if (error != 0)
      return void(fuse_reply_err(request, error));
    const auto entry = self.entry_of(made);
    guard.unlock();
    info->keep_cache = 1;
    fuse_reply_create(request, &entry, info);
  }

  static void remove(fuse_req_t request, fuse_ino_t parent, const char* name, bool directory) {
    std::unique_lock<std::mutex> guard;
    node_ref in;
    auto& self = of(request);
    int error = self.begin(parent, directory ? "rmdir" : "unlink", guard, in, name);
    if (error == 0)
      error = self.home.tree_.remove(in, name, directory);
    fuse_reply_err(request, error);
  }
  static void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    remove(request, parent, name, false);
  }
  static void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    remove(request, parent, name, true);
  }

  static void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
                     const char* new_name, unsigned flags) {
    std::unique_lock<std::mutex> guard;
    node_ref from;
    auto& self = of(request);
    int error = self.begin(parent, "rename", guard, from, name);
    if (error != 0)
      return void(fuse_reply_err(request, error));
    const auto found = self.known.find(new_parent);
    const auto to = new_parent == FUSE_ROOT_ID  ? self.home.tree_.root()
                    : found == self.known.end() ? nullptr
                                                : found->second.which;
    if (to == nullptr)
      error = ESTALE;
    if (error == 0 && (flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0)
      error = EINVAL;
    if (error == 0)
      error = self.home.tree_.rename(from, name, to, new_name, flags == 0);
    fuse_reply_err(request, error);
  }

  static void open(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    if (const int error = of(request).begin(id, "open", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    guard.unlock();
    info->keep_cache = 1;
    fuse_reply_open(request, info);
  }

  static void read(fuse_req_t request, fuse_ino_t id, std::size_t size, off_t position,
                   fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    if (const int error = of(request).begin(id, "read", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    std::vector<std::byte> bytes(size);
    const auto got = which->data.read(static_cast<std::uint64_t>(position), bytes);
    guard.unlock();
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), got);
  }

  static void write(fuse_req_t request, fuse_ino_t id, const char* bytes, std::size_t size,
                    off_t position, fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    auto& self = of(request);
    const auto at = static_cast<std::uint64_t>(position);
    int error = self.begin(id, "write", guard, which);
    if (error == 0)
      error = self.home.tree_.may_grow(*which, at + size);
    if (error != 0)
      return void(fuse_reply_err(request, error));
    which->data.write(at, std::as_bytes(std::span{bytes, size}));
    which->changed_s = std::time(nullptr);
    guard.unlock();
    fuse_reply_write(request, size);
  }

  static void fsync(fuse_req_t request, fuse_ino_t id, int, fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    const int error = of(request).begin(id, "fsync", guard, which);
    if (error == 0)
      which->data.sync();
    fuse_reply_err(request, error);
  }

  static void fsyncdir(fuse_req_t request, fuse_ino_t id, int, fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    auto& self = of(request);
    const int error = self.begin(id, "fsyncdir", guard, which);
    if (error == 0)
      self.home.tree_.sync_names(which);
    fuse_reply_err(request, error);
  }

  static void fallocate(fuse_req_t request, fuse_ino_t id, int mode, off_t offset, off_t length,
                        fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    auto& self = of(request);
    const auto from = static_cast<std::uint64_t>(offset);
    const auto to = from + static_cast<std::uint64_t>(length);
    const bool clears = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
    int error = self.begin(id, "fallocate", guard, which);
    if (error == 0 &&
        (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
      error = EOPNOTSUPP;
    const bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0;
    if (error == 0 && grows)
      error = self.home.tree_.may_grow(*which, to);
    if (error != 0)
      return void(fuse_reply_err(request, error));
    if (clears)
      which->data.clear_range(from, to - from);
    if (grows && to > which->data.size())
      which->data.resize(to);
    guard.unlock();
    fuse_reply_err(request, 0);
  }

  static void lseek(fuse_req_t request, fuse_ino_t id, off_t offset, int whence, fuse_file_info*) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    if (const int error = of(request).begin(id, "lseek", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    const auto at = static_cast<std::uint64_t>(offset);
    const auto size = which->data.size();
    if (at >= size || (whence != SEEK_DATA && whence != SEEK_HOLE))
      return void(fuse_reply_err(request, at >= size ? ENXIO : EINVAL));
    const auto found = whence == SEEK_DATA ? which->data.next_data(at) : which->data.next_hole(at);
    if (whence == SEEK_DATA && found == size)
      return void(fuse_reply_err(request, ENXIO));
    guard.unlock();
    fuse_reply_lseek(request, static_cast<off_t>(found));
  }

  // A listing is what was there when the directory was opened.
  static void opendir(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    auto& self = of(request);
    if (const int error = self.begin(id, "opendir", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    info->fh = ++self.last_listing;
    auto& listing = self.listings[info->fh];
    listing = {{".", which}, {"..", which}};
    listing.insert(listing.end(), which->now.begin(), which->now.end());
    guard.unlock();
    fuse_reply_open(request, info);
  }

  static void readdir(fuse_req_t request, fuse_ino_t id, std::size_t size, off_t offset,
                      fuse_file_info* info) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    auto& self = of(request);
    if (const int error = self.begin(id, "readdir", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    const auto& listing = self.listings[info->fh];
    std::vector<char> reply(size);
    std::size_t used = 0;
    for (auto i = static_cast<std::size_t>(offset); i < listing.size(); ++i) {
      const auto facts = facts_of(*listing[i].second);
      const auto needs =
          fuse_add_direntry(request, reply.data() + used, size - used, listing[i].first.c_str(),
                            &facts, static_cast<off_t>(i + 1));
      if (needs > size - used)
        break;
      used += needs;
    }
    guard.unlock();
    fuse_reply_buf(request, reply.data(), used);
  }

  static void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    auto& self = of(request);
    {
      const std::lock_guard guard{self.home.mutex_};
      self.listings.erase(info->fh);
    }
    fuse_reply_err(request, 0);
  }

  static void statfs(fuse_req_t request, fuse_ino_t) {
    std::unique_lock<std::mutex> guard;
    node_ref which;
    auto& self = of(request);
    if (const int error = self.begin(FUSE_ROOT_ID, "statfs", guard, which); error != 0)
      return void(fuse_reply_err(request, error));
    struct statvfs facts {};
    const auto& names = self.home.tree_;
    facts.f_bsize = facts.f_frsize = block_bytes;
    facts.f_blocks = names.capacity() / block_bytes;
    facts.f_bfree = facts.f_bavail =
        (names.capacity() - std::min(names.capacity(), names.used())) / block_bytes;
    facts.f_namemax = name_max;
    guard.unlock();
    fuse_reply_statfs(request, &facts);
  }

  static fuse_lowlevel_ops operations() {
    fuse_lowlevel_ops list{};
    list.init = init;
    list.lookup = lookup;
    list.forget = forget;
    list.forget_multi = forget_multi;
    list.getattr = getattr;
    list.setattr = setattr;
    list.mkdir = mkdir;
    list.unlink = unlink;
    list.rmdir = rmdir;
    list.rename = rename;
    list.open = open;
    list.read = read;
    list.write = write;
    list.fsync = fsync;
    list.opendir = opendir;
    list.readdir = readdir;
    list.releasedir = releasedir;
    list.fsyncdir = fsyncdir;
    list.statfs = statfs;
    list.create = create;
    list.fallocate = fallocate;
    list.lseek = lseek;
    return list;
  }

  /// One mount from its beginning to its end. False when it did not come about.
  bool serve_once() {
    const char* words[] = {"dropfs", "-o", "fsname=dropfs,subtype=dropfs,default_permissions"};
    fuse_args arguments = FUSE_ARGS_INIT(3, const_cast<char**>(words));
    const auto calls = operations();
    auto* serving = fuse_session_new(&arguments, &calls, sizeof calls, this);
    fuse_opt_free_args(&arguments);
    if (serving == nullptr)
      return false;
    if (fuse_session_mount(serving, home.mountpoint_.c_str()) != 0) {
      fuse_session_destroy(serving);
      return false;
    }
    {
      const std::lock_guard guard{mount_mutex};
      session = serving;
      ++mounts;
      mount_changed.notify_all();
    }
    auto* config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_max_threads(config, threads_max);
    fuse_loop_cfg_set_idle_threads(config, threads_max);
    (void)fuse_session_loop_mt(serving, config);
    fuse_loop_cfg_destroy(config);
    {
      const std::lock_guard guard{mount_mutex};
      session = nullptr;
    }
    fuse_session_unmount(serving);
    fuse_session_destroy(serving);
    const std::lock_guard guard{home.mutex_};
    known.clear();
    listings.clear();
    return true;
  }
};

file_system::file_system(std::string mountpoint, std::uint64_t capacity)
    : mountpoint_(std::move(mountpoint)), tree_(capacity),
      kernel_(std::make_unique<kernel_side>(*this)) {}

file_system::~file_system() = default;

bool file_system::serve() {
  for (;;) {
    if (!kernel_->serve_once())
      return false;
    const std::lock_guard guard{kernel_->mount_mutex};
    if (kernel_->ending)
      return true;
  }
}

void file_system::end() {
  {
    const std::lock_guard guard{kernel_->mount_mutex};
    kernel_->ending = true;
    if (kernel_->session != nullptr)
      fuse_session_exit(kernel_->session);
  }
  rules_.die();
  ::umount2(mountpoint_.c_str(), MNT_DETACH);
}

cut_counts file_system::cut(std::optional<std::uint64_t> seed) {
  rules_.die();
  const std::lock_guard guard{mutex_};
  dead_ = true;
  std::mt19937_64 random{seed.value_or(0)};
  const auto counts = tree_.cut(seed ? &random : nullptr);
  newest_cut_ = tree_.copy();
  return counts;
}

bool file_system::revive(unsigned seconds) {
  auto& kernel = *kernel_;
  std::unique_lock guard{kernel.mount_mutex};
  const auto before = kernel.mounts;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{seconds};
  // A killed process lets go of its files a little after its end.
  while (::umount2(mountpoint_.c_str(), 0) != 0) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    guard.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    guard.lock();
  }
  {
    const std::lock_guard look{mutex_};
    dead_ = false;
  }
  rules_.revive();
  return kernel.mount_changed.wait_until(guard, deadline + std::chrono::seconds{1},
                                         [&] { return kernel.mounts > before; });
}

bool file_system::export_cut(const std::string& directory) {
  node_ref image;
  {
    const std::lock_guard guard{mutex_};
    image = newest_cut_;
  }
  return image != nullptr && write_out(*image, directory);
}

std::string file_system::report() {
  auto text = rules_.report();
  const std::lock_guard guard{mutex_};
  return text + "used " + std::to_string(tree_.used()) + "\nunsynced_names " +
         std::to_string(tree_.unsynced_changes()) + "\n";
}

} // namespace lance::fault
