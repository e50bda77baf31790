#include "storage/posix_disk.hpp"

#include <algorithm>
#include <cerrno>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/mapped_file.hpp"
#include "storage/layout.hpp"
#include "storage/posix_file.hpp"
#include "storage/uring_file.hpp"

namespace lance::storage {

namespace {

result<> from_return(int returned) noexcept {
  if (returned != 0)
    return fail(errc::io_failed, errno);
  return {};
}

class posix_mapping final : public mapping {
 public:
  explicit posix_mapping(runtime::mapped_file file) noexcept : file_(std::move(file)) {}
  [[nodiscard]] byte_view bytes() const noexcept override { return file_.bytes(); }
  [[nodiscard]] bool failed() const noexcept override { return file_.failed(); }

 private:
  runtime::mapped_file file_;
};

class posix_lock final : public file_lock {
 public:
  explicit posix_lock(int descriptor) noexcept : descriptor_(descriptor) {}
  ~posix_lock() override { ::close(descriptor_); }
  posix_lock(const posix_lock&) = delete;
  posix_lock& operator=(const posix_lock&) = delete;

 private:
  int descriptor_;
};

class posix_disk final : public disk {
 public:
  explicit posix_disk(const posix_disk_options& options) noexcept : options_(options) {}

  result<std::unique_ptr<file>> open(const std::string& path, const open_options& how) override {
    const int flags = O_CLOEXEC | (how.read_only ? O_RDONLY : O_RDWR) | (how.create ? O_CREAT : 0);
    bool direct = how.direct && options_.allow_direct;
    int descriptor = ::open(path.c_str(), flags | (direct ? O_DIRECT : 0), 0640);
    if (descriptor < 0 && errno == EINVAL && direct) { // this file system has no O_DIRECT
      direct = false;
      descriptor = ::open(path.c_str(), flags, 0640);
    }
    if (descriptor < 0)
      return fail(errc::io_failed, errno);
    if (options_.ring != nullptr)
      return std::make_unique<uring_file>(descriptor, direct, *options_.ring);
    return std::make_unique<posix_file>(descriptor, direct, options_.helper);
  }

  result<> rename(const std::string& from, const std::string& to) override {
    return from_return(::rename(from.c_str(), to.c_str()));
  }
  result<> remove(const std::string& path) override { return from_return(::unlink(path.c_str())); }
  result<> remove_directory(const std::string& path) override {
    return from_return(::rmdir(path.c_str()));
  }
  bool exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }
  result<std::uint64_t> name_count(const std::string& path) override {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0)
      return fail(errc::io_failed, errno);
    return facts.st_nlink;
  }

  result<std::vector<std::string>> list(const std::string& directory) override {
    auto* stream = ::opendir(directory.c_str());
    if (stream == nullptr)
      return fail(errc::io_failed, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const auto* entry = ::readdir(stream))
      if (const std::string_view name = entry->d_name; name != "." && name != "..")
        names.emplace_back(name);
    const int error = errno;
    ::closedir(stream);
    if (error != 0)
      return fail(errc::io_failed, error);
    std::sort(names.begin(), names.end());
    return names;
  }

  result<> make_directories(const std::string& path) override {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) == 0)
      return S_ISDIR(facts.st_mode) ? result<>{} : fail(errc::io_failed, ENOTDIR);
    const auto above = layout::parent(path);
    if (above != path)
      if (const auto made = make_directories(above); !made)
        return made;
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST)
      return fail(errc::io_failed, errno);
    return sync_directory(above);
  }

  result<> sync_directory(const std::string& directory) override {
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
      return fail(errc::io_failed, errno);
    const auto synced = from_return(::fsync(descriptor));
    ::close(descriptor);
    return synced;
  }

  result<disk_space> space(const std::string& directory) override {
    struct statvfs facts {};
    if (::statvfs(directory.c_str(), &facts) != 0)
      return fail(errc::io_failed, errno);
    const auto used = facts.f_blocks - facts.f_bfree;
    return disk_space{(used + facts.f_bavail) * facts.f_frsize, facts.f_bavail * facts.f_frsize};
  }

  result<std::unique_ptr<mapping>> map(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
      return fail(errc::io_failed, errno);
    auto mapped = runtime::mapped_file::map(descriptor);
    ::close(descriptor);
    if (!mapped)
      return tl::unexpected(mapped.error());
    return std::make_unique<posix_mapping>(std::move(*mapped));
  }

  result<std::unique_ptr<file_lock>> lock(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (descriptor < 0)
      return fail(errc::io_failed, errno);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(descriptor);
      return fail(errc::io_failed, error);
    }
    return std::make_unique<posix_lock>(descriptor);
  }

 private:
  posix_disk_options options_;
};

} // namespace

std::unique_ptr<disk> make_posix_disk(const posix_disk_options& options) {
  return std::make_unique<posix_disk>(options);
}

} // namespace lance::storage
