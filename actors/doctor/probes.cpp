#include "actors/doctor/probes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>

#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "actors/listener.hpp"
#include "config/judge.hpp"
#include "runtime/clock.hpp"
#include "storage/layout.hpp"
#include "storage/options.hpp"

namespace lance::actors::doctor {

namespace {

namespace fs = std::filesystem;

class descriptor {
 public:
  explicit descriptor(int number) noexcept : number_(number) {}
  ~descriptor() {
    if (number_ >= 0)
      ::close(number_);
  }
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&&) = delete;
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_;
};

// Of linux/magic.h, and of file systems whose numbers stand elsewhere.
std::string file_system_name(long magic) {
  static constexpr std::array<std::pair<unsigned long, const char*>, 11> known{
      {{0xEF53, "ext4"},
       {0x58465342, "xfs"},
       {0x9123683E, "btrfs"},
       {0x2FC12FC1, "zfs"},
       {0xF2F52010, "f2fs"},
       {0x794C7630, "overlay"},
       {0x01021994, "tmpfs"},
       {0x858458F6, "ramfs"},
       {0x6969, "nfs"},
       {0xFF534D42, "cifs"},
       {0x65735546, "fuse"}}};
  for (const auto& [number, name] : known)
    if (number == static_cast<unsigned long>(magic))
      return name;
  return {};
}

// The directory itself, or the nearest one above it that is there.
std::string nearest_directory(const std::string& path) {
  std::error_code failed;
  if (fs::is_directory(path, failed))
    return path;
  for (auto up = fs::absolute(path, failed).lexically_normal(); up != up.root_path();
       up = up.parent_path())
    if (fs::is_directory(up, failed))
      return up;
  return "/";
}

// Something that is no directory is where the directory, or one on the way to it, is to be.
bool is_in_the_way(const std::string& path) {
  std::error_code failed;
  for (auto up = fs::absolute(path, failed).lexically_normal(); up != up.root_path();
       up = up.parent_path())
    if (fs::exists(up, failed))
      return !fs::is_directory(up, failed);
  return false;
}

// A file without a name: gone with its last descriptor, whatever ends this process.
descriptor nameless_file(const std::string& directory, int flags) {
  descriptor made{::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600)};
  if (made || (errno != EOPNOTSUPP && errno != EISDIR))
    return made;
  auto pattern = directory + "/lance-doctor-XXXXXX"; // a file system without such files
  descriptor named{::mkostemp(pattern.data(), O_CLOEXEC | flags)};
  if (named)
    ::unlink(pattern.c_str());
  return named;
}

void measure_flushes(const descriptor& file, disk_facts& into) {
  constexpr auto block = storage::block_bytes;
  const std::unique_ptr<void, decltype(&std::free)> memory{
      std::aligned_alloc(block, flush_file_bytes), &std::free};
  if (memory == nullptr)
    return;
  std::memset(memory.get(), 0xA5, flush_file_bytes); // of the kind that disks do not skip
  // Into blocks that are written already, as the broker does.
  if (::pwrite(file.number(), memory.get(), flush_file_bytes, 0) !=
          static_cast<ssize_t>(flush_file_bytes) ||
      ::fdatasync(file.number()) != 0)
    return;
  const runtime::real_clock clock;
  const auto end_ns = clock.steady_ns() + flush_limit_ms * ms_in_ns;
  std::vector<std::uint64_t> taken;
  while (taken.size() < flushes_max && clock.steady_ns() < end_ns) {
    const auto position = static_cast<off_t>((taken.size() * block) % flush_file_bytes);
    const auto began = clock.steady_ns();
    if (::pwrite(file.number(), memory.get(), block, position) != static_cast<ssize_t>(block) ||
        ::fdatasync(file.number()) != 0)
      break;
    taken.push_back(clock.steady_ns() - began);
  }
  if (taken.empty())
    return;
  std::sort(taken.begin(), taken.end());
  into.flushes = taken.size();
  into.flush_ns_p50 = taken[taken.size() / 2];
  into.flush_ns_max = taken.back();
}

bool somebody_holds(const std::string& lock) {
  const descriptor file{::open(lock.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file)
    return false;
  // Let go with the descriptor, at once.
  return ::flock(file.number(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

} // namespace

disk_facts probe_disk(const std::string& data_dir) {
  disk_facts found;
  found.looked_at = nearest_directory(data_dir);
  if (is_in_the_way(data_dir))
    found.error = ENOTDIR;
  else if (::access(found.looked_at.c_str(), W_OK | X_OK) != 0)
    found.error = errno;
  found.broker_runs = somebody_holds(storage::layout::join(data_dir, storage::layout::lock_name));
  struct statfs kind {};
  if (::statfs(found.looked_at.c_str(), &kind) == 0)
    found.file_system = file_system_name(kind.f_type);
  struct statvfs space {};
  if (::statvfs(found.looked_at.c_str(), &space) == 0) {
    // As storage/posix_disk counts: what is kept back for root is in neither.
    const auto used = space.f_blocks - space.f_bfree;
    found.total_bytes = (used + space.f_bavail) * space.f_frsize;
    found.free_bytes = space.f_bavail * space.f_frsize;
    found.total_inodes = space.f_files;
    found.free_inodes = space.f_favail;
  }
  if (found.error != 0)
    return found;
  const auto direct = nameless_file(found.looked_at, O_DIRECT);
  if (direct) {
    found.direct = true;
    measure_flushes(direct, found);
    return found;
  }
  found.direct = errno == EINVAL ? std::optional{false} : std::nullopt;
  const auto buffered = nameless_file(found.looked_at, 0);
  if (buffered)
    measure_flushes(buffered, found);
  else
    found.error = errno; // access() believes more than a read-only mount does
  return found;
}

clock_facts probe_clock() {
  clock_facts found;
  timex kernel{};
  const int state = ::adjtimex(&kernel); // asks only: no bit of `modes` is set
  if (state >= 0) {
    found.synchronised = state != TIME_ERROR && (kernel.status & STA_UNSYNC) == 0;
    found.error_us_max = static_cast<std::uint64_t>(kernel.maxerror);
  }
  const runtime::real_clock clock;
  auto before = clock.steady_ns();
  for (int i = 0; i < clock_readings; ++i) {
    const auto now = clock.steady_ns();
    found.steady = found.steady && now >= before;
    before = now;
  }
  return found;
}

std::vector<listener_facts> probe_listeners(const config::config& values) {
  std::vector<listener_facts> found;
  const std::array<std::pair<const char*, const std::string*>, 3> all{
      {{"network.bind", &values.network.bind},
       {"http.bind", &values.http.bind},
       {"metrics.bind", &values.metrics.bind}}};
  for (const auto& [key, address] : all) {
    if (address->empty())
      continue;
    listener_facts one{key, *address, 0, {}};
    if (const auto socket = listen_on(*address, false, one.trouble))
      ::close(socket->descriptor);
    else
      one.error = socket.error().system;
    found.push_back(std::move(one));
  }
  return found;
}

std::string interface_with(const std::string& bind) {
  if (config::on_loopback(bind))
    return {};
  auto host = bind.substr(0, bind.rfind(':'));
  if (host.size() > 2 && host.front() == '[')
    host = host.substr(1, host.size() - 2);
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0)
    return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all{raw, &::freeifaddrs};
  for (const auto* one = all.get(); one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr)
      continue;
    const auto family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6)
      continue;
    char text[NI_MAXHOST] = "";
    const auto length =
        static_cast<socklen_t>(family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (::getnameinfo(one->ifa_addr, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 &&
        host == text)
      return one->ifa_name;
  }
  return {};
}

} // namespace lance::actors::doctor
