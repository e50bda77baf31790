#include "bench/floor_disk.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "bench/measured.hpp"

namespace lance::bench {

namespace {

constexpr std::size_t block_bytes = 4096;
constexpr std::size_t fill_bytes = 1024 * 1024;

struct free_deleter {
  void operator()(char* memory) const noexcept { std::free(memory); }
};
using aligned_memory = std::unique_ptr<char, free_deleter>;

aligned_memory random_memory(std::size_t bytes) {
  aligned_memory memory{static_cast<char*>(std::aligned_alloc(block_bytes, bytes))};
  if (memory == nullptr)
    give_up("out of memory");
  std::mt19937_64 random{bytes};
  for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
    const auto word = random();
    std::memcpy(memory.get() + at, &word, sizeof word);
  }
  return memory;
}

class descriptor {
 public:
  descriptor(const std::string& path, int flags) : number_(::open(path.c_str(), flags, 0644)) {
    if (number_ < 0)
      give_up_errno(path);
  }
  ~descriptor() { ::close(number_); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return number_; }

 private:
  int number_;
};

void prepare_file(const disk_write_plan& plan) {
  if (!plan.written)
    ::unlink(plan.path.c_str());
  const descriptor file(plan.path, O_CREAT | O_WRONLY | O_DIRECT | O_CLOEXEC);
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0)
    give_up_errno(plan.path);
  if (static_cast<std::uint64_t>(facts.st_size) == plan.file_bytes)
    return;
  if (const int failure = ::posix_fallocate(file.get(), 0, static_cast<off_t>(plan.file_bytes));
      failure != 0)
    give_up(std::string{"allocating "} + plan.path + ": " + std::strerror(failure));
  const auto memory = random_memory(fill_bytes);
  for (std::uint64_t at = 0; plan.written && at < plan.file_bytes; at += fill_bytes)
    if (::pwrite(file.get(), memory.get(), fill_bytes, static_cast<off_t>(at)) !=
        static_cast<ssize_t>(fill_bytes))
      give_up_errno(plan.path);
  if (::fsync(file.get()) != 0)
    give_up_errno(plan.path);
}

// Both deeds in one submission, the flush only after the write.
class linked_writer {
 public:
  linked_writer() {
    if (const int failure = ::io_uring_queue_init(4, &ring_, 0); failure < 0)
      give_up(std::string{"io_uring: "} + std::strerror(-failure));
  }
  ~linked_writer() { ::io_uring_queue_exit(&ring_); }
  linked_writer(const linked_writer&) = delete;
  linked_writer& operator=(const linked_writer&) = delete;

  void write(int file, const char* data, std::size_t bytes, std::uint64_t position) {
    auto* write = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_write(write, file, data, static_cast<unsigned>(bytes), position);
    write->flags |= IOSQE_IO_LINK;
    ::io_uring_sqe_set_data64(write, bytes); // what its completion must say
    auto* flush = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_fsync(flush, file, IORING_FSYNC_DATASYNC);
    ::io_uring_sqe_set_data64(flush, 0);
    if (const int got = ::io_uring_submit_and_wait(&ring_, 2); got < 0)
      give_up(std::string{"io_uring: "} + std::strerror(-got));
    for (int i = 0; i < 2; ++i)
      take_completion();
  }

 private:
  void take_completion() {
    io_uring_cqe* done = nullptr;
    if (::io_uring_wait_cqe(&ring_, &done) < 0 || done->res < 0 ||
        static_cast<std::uint64_t>(done->res) != ::io_uring_cqe_get_data64(done))
      give_up("a write or flush failed");
    ::io_uring_cqe_seen(&ring_, done);
  }
  io_uring ring_{};
};

void write_by_calls(int file, const char* data, std::size_t bytes, std::uint64_t position) {
  if (::pwrite(file, data, bytes, static_cast<off_t>(position)) != static_cast<ssize_t>(bytes) ||
      ::fdatasync(file) != 0)
    give_up_errno("write and flush");
}

nlohmann::json rates(std::uint64_t bytes, std::uint64_t took_ns, double cpu) {
  const auto seconds = static_cast<double>(took_ns) / 1e9;
  return {{"bytes", bytes},
          {"seconds", seconds},
          {"mb_per_s", static_cast<double>(bytes) / seconds / 1e6},
          {"cpu_s", cpu}};
}

} // namespace

nlohmann::json measure_disk_writes(const disk_write_plan& plan) {
  if (plan.write_bytes % block_bytes != 0 || plan.file_bytes % fill_bytes != 0 ||
      plan.write_bytes > plan.file_bytes)
    give_up("sizes must be multiples of a block, and the file larger than one write");
  prepare_file(plan);
  const descriptor file(plan.path, O_WRONLY | O_DIRECT | O_CLOEXEC);
  const auto memory = random_memory(plan.write_bytes);
  linked_writer ring;
  latencies taken;
  std::uint64_t bytes = 0;
  std::uint64_t position = 0;
  const auto cpu = own_cpu_seconds();
  const auto began = now_ns();
  const auto end = began + static_cast<std::uint64_t>(plan.seconds * 1e9);
  auto now = began;
  while (now < end) {
    if (plan.linked)
      ring.write(file.get(), memory.get(), plan.write_bytes, position);
    else
      write_by_calls(file.get(), memory.get(), plan.write_bytes, position);
    const auto then = now_ns();
    taken.add(then - now);
    now = then;
    bytes += plan.write_bytes;
    position += plan.write_bytes;
    if (position + plan.write_bytes <= plan.file_bytes)
      continue;
    if (!plan.written)
      break; // from here on the blocks would not be new ones
    position = 0;
  }
  auto json = rates(bytes, now - began, own_cpu_seconds() - cpu);
  json["write"] = taken.summary();
  return json;
}

nlohmann::json measure_disk_reads(const disk_read_plan& plan) {
  if (plan.read_bytes % block_bytes != 0)
    give_up("the size must be a multiple of a block");
  const auto memory = random_memory(plan.read_bytes);
  std::uint64_t bytes = 0;
  const auto cpu = own_cpu_seconds();
  const auto began = now_ns();
  for (const auto& path : plan.paths) {
    const descriptor file(path, O_RDONLY | O_CLOEXEC | (plan.direct ? O_DIRECT : 0));
    std::uint64_t position = 0;
    for (;;) {
      const auto got =
          ::pread(file.get(), memory.get(), plan.read_bytes, static_cast<off_t>(position));
      if (got < 0)
        give_up_errno(path);
      position += static_cast<std::uint64_t>(got);
      if (static_cast<std::size_t>(got) < plan.read_bytes)
        break;
    }
    bytes += position;
  }
  return rates(bytes, now_ns() - began, own_cpu_seconds() - cpu);
}

} // namespace lance::bench
