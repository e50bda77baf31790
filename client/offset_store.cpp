#include "client/offset_store.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "wire/consumer_id.hpp"

namespace lance::client {

namespace {

tl::unexpected<failure> disk_failure(const std::string& path, int number) {
  return tl::unexpected{failure{
      errc::io_failed, false, {}, {}, path + ": " + std::generic_category().message(number)}};
}

class descriptor {
 public:
  descriptor(const std::string& path, int flags) noexcept
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] bool good() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// 20 digits and a newline; anything longer is no offset.
constexpr std::size_t text_bytes_max = 21;

bool write_all(int fd, std::string_view text) noexcept {
  const auto written = ::write(fd, text.data(), text.size());
  return written == static_cast<ssize_t>(text.size());
}

bool sync_directory(const std::string& path) noexcept {
  const descriptor directory{path, O_RDONLY | O_DIRECTORY};
  return directory.good() && ::fsync(directory.get()) == 0;
}

} // namespace

outcome<std::optional<byte_offset>> memory_offset_store::load(log_id log) {
  const auto found = offsets_.find(log);
  return found == offsets_.end() ? std::nullopt : std::optional{found->second};
}

outcome<> memory_offset_store::save(log_id log, byte_offset offset) {
  offsets_[log] = offset;
  return {};
}

file_offset_store::file_offset_store(std::string directory, std::string consumer)
    : directory_(std::move(directory)), consumer_(std::move(consumer)) {}

outcome<> file_offset_store::judge_name() const {
  const bool bad = consumer_.empty() || consumer_ == "." || consumer_ == ".." ||
                   consumer_.find_first_of(std::string_view{"/\0", 2}) != std::string::npos;
  if (bad)
    return refuse(errc::invalid_name, "'" + consumer_ + "' cannot be a consumer's name");
  return {};
}

std::string file_offset_store::stem(log_id log) const {
  return directory_ + "/" + consumer_ + "/topic-" + std::to_string(log.value) + "-consumer-" +
         std::to_string(wire::consumer_id_of(consumer_));
}

outcome<std::optional<byte_offset>> file_offset_store::load(log_id log) {
  if (auto good = judge_name(); !good)
    return tl::unexpected{good.error()};
  const auto path = stem(log) + ".offset";
  const descriptor file{path, O_RDONLY};
  if (!file.good()) {
    if (errno == ENOENT)
      return std::nullopt;
    return disk_failure(path, errno);
  }
  std::array<char, text_bytes_max + 1> text;
  const auto got = ::read(file.get(), text.data(), text.size());
  if (got < 0)
    return disk_failure(path, errno);
  const auto* end = text.data() + got;
  byte_offset offset;
  const auto [stop, fault] = std::from_chars(text.data(), end, offset.value);
  // Of a longer file only the front has been seen, and zeros in front could make that a number.
  const bool whole = static_cast<std::size_t>(got) <= text_bytes_max;
  if (!whole || fault != std::errc{} || (stop != end && (*stop != '\n' || stop + 1 != end)))
    return refuse(errc::bad_format, path + " does not hold an offset");
  return offset;
}

outcome<> file_offset_store::save(log_id log, byte_offset offset) {
  if (auto good = judge_name(); !good)
    return good;
  const auto folder = directory_ + "/" + consumer_;
  std::error_code fault;
  std::filesystem::create_directories(folder, fault);
  if (fault)
    return disk_failure(folder, fault.value());

  const auto base = stem(log);
  const descriptor lock{base + ".lock", O_RDWR | O_CREAT};
  if (!lock.good() || ::flock(lock.get(), LOCK_EX) != 0)
    return disk_failure(base + ".lock", errno);
  const auto temporary = base + ".offset.tmp";
  const descriptor file{temporary, O_WRONLY | O_CREAT | O_TRUNC};
  if (!file.good() || !write_all(file.get(), std::to_string(offset.value) + "\n") ||
      ::fsync(file.get()) != 0 || ::rename(temporary.c_str(), (base + ".offset").c_str()) != 0 ||
      !sync_directory(folder))
    return disk_failure(temporary, errno);
  return {};
}

} // namespace lance::client
