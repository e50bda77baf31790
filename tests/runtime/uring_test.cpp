#include "runtime/uring.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/types.hpp"
#include "tests/wire/random.hpp"

namespace lance::runtime {
namespace {

using steady = std::chrono::steady_clock;

struct recorded final : operation {
  void complete(std::int32_t outcome, bool more) override {
    result = outcome;
    again = more;
    ++times;
    if (order != nullptr)
      order->push_back(this);
  }
  std::optional<std::int32_t> result;
  bool again = false;
  int times = 0;
  std::vector<recorded*>* order = nullptr;
};

std::unique_ptr<uring> make_ring(unsigned depth = 64) {
  const auto found = probe_uring();
  if (!found.available) {
    WARN("io_uring is not to be had here (errno " << found.refusal << "): not tested");
    return nullptr;
  }
  return uring::make(found, {.submission_depth = depth}).value();
}

template <class Condition>
bool run_until(uring& ring, Condition met) {
  const auto end = steady::now() + std::chrono::seconds{20};
  while (!met()) {
    if (steady::now() > end)
      return false;
    if (!ring.turn())
      ring.wait(1 * ms_in_ns);
  }
  return true;
}

/// A file without a name, gone with the descriptor.
struct scratch_file {
  scratch_file() {
    char name[] = "/tmp/lance-uring-XXXXXX";
    descriptor = ::mkostemp(name, O_CLOEXEC);
    REQUIRE(descriptor >= 0);
    ::unlink(name);
  }
  ~scratch_file() { ::close(descriptor); }
  int descriptor = -1;
};

} // namespace

TEST_CASE("where io_uring works, no operation that is used is missing") {
  const auto missing = missing_uring_operations();
  if (make_ring() == nullptr)
    return;
  REQUIRE(missing.has_value());
  CHECK(missing->empty());
}

TEST_CASE("the probe says what a ring can do, or why there is none", "[uring]") {
  const auto found = probe_uring();
  if (!found.available) {
    CHECK(found.refusal != 0);
    CHECK_FALSE(found.single_issuer);
    CHECK_FALSE(found.multishot_accept);
    CHECK_FALSE(found.registered_buffers);
    WARN("io_uring is not to be had here");
    return;
  }
  CHECK(found.registered_buffers == (found.registered_refusal == 0));
  // Each grade below the best works too: that is what older kernels give.
  for (const bool lazy : {false, true}) {
    auto lesser = found;
    lesser.single_issuer = found.single_issuer && lazy;
    auto ring = uring::make(lesser, {.submission_depth = 8});
    REQUIRE(ring.has_value());
    scratch_file file;
    recorded written;
    (*ring)->write(written, file.descriptor, as_bytes("abc"), 0, nullptr);
    REQUIRE(run_until(**ring, [&] { return written.times == 1; }));
    CHECK(written.result == 3);
  }
}

TEST_CASE("written bytes are read back", "[uring]") {
  auto ring = make_ring();
  if (!ring)
    return;
  wire::test::random_source random{"uring write and read"};
  scratch_file file;
  const auto data = random.bytes(100'000);
  recorded written;
  ring->write(written, file.descriptor, data, 4096, nullptr);
  CHECK(ring->ready());
  REQUIRE(run_until(*ring, [&] { return written.times > 0; }));
  REQUIRE(written.result == 100'000);
  std::vector<std::byte> back(data.size());
  recorded read;
  ring->read(read, file.descriptor, back, 4096, nullptr);
  REQUIRE(run_until(*ring, [&] { return read.times > 0; }));
  CHECK(read.result == 100'000);
  CHECK(back == data);
  recorded beyond;
  ring->read(beyond, file.descriptor, back, 4096 + 100'000, nullptr);
  REQUIRE(run_until(*ring, [&] { return beyond.times > 0; }));
  CHECK(beyond.result == 0);
  CHECK(ring->completed() >= 3);
  CHECK(ring->submitted() >= 3);
}

TEST_CASE("a registered pool serves as fixed buffers", "[uring]") {
  auto ring = make_ring();
  if (!ring)
    return;
  auto pool = buffer_pool::make({.count = 4, .buffer_bytes = 4096}).value();
  auto second = buffer_pool::make({.count = 2, .buffer_bytes = 8192}).value();
  if (const auto outcome = ring->register_pool(*pool); !outcome) {
    CHECK(outcome.error().code == errc::io_failed);
    CHECK(pool->registered_index() == -1);
    WARN("memory may not be registered here (errno " << outcome.error().system << ")");
    return;
  }
  REQUIRE(ring->register_pool(*second).has_value());
  CHECK(pool->registered_index() == 0);
  CHECK(second->registered_index() == 1);
  scratch_file file;
  auto from = pool->take();
  auto into = second->take();
  std::fill_n(from.data(), 4096, std::byte{0x5a});
  recorded written;
  ring->write(written, file.descriptor, {from.data(), 4096}, 0, pool.get());
  REQUIRE(run_until(*ring, [&] { return written.times > 0; }));
  REQUIRE(written.result == 4096);
  recorded read;
  ring->read(read, file.descriptor, {into.data(), 4096}, 0, second.get());
  REQUIRE(run_until(*ring, [&] { return read.times > 0; }));
  REQUIRE(read.result == 4096);
  CHECK(std::memcmp(from.data(), into.data(), 4096) == 0);
}

// In a process of its own, as nobody: root may lock memory without limit.
TEST_CASE("a refused registration leaves the pool usable", "[uring]") {
  const auto found = probe_uring();
  if (!found.available) {
    WARN("io_uring is not to be had here: not tested");
    return;
  }
  enum outcome { refused, wrong, unlimited };
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    scratch_file file;
    const rlimit tiny{256 * KiB, 256 * KiB}; // some kernels charge the ring itself too
    ::setrlimit(RLIMIT_MEMLOCK, &tiny);
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0))
      ::_exit(unlimited);
    auto ring = uring::make(found, {.submission_depth = 8});
    auto pool = buffer_pool::make({.count = 16, .buffer_bytes = 65536}).value();
    if (!ring)
      ::_exit(unlimited);
    const auto registered = (*ring)->register_pool(*pool);
    if (registered)
      ::_exit(unlimited);
    if (registered.error() != error{errc::io_failed, ENOMEM} || pool->registered_index() != -1)
      ::_exit(wrong);
    auto from = pool->take();
    recorded written;
    (*ring)->write(written, file.descriptor, {from.data(), 4096}, 0, pool.get());
    const bool ended = run_until(**ring, [&] { return written.times > 0; });
    ::_exit(ended && written.result == 4096 ? refused : wrong);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == unlimited)
    WARN("this process may lock memory without limit: the refusal is not tested");
  else
    CHECK(WEXITSTATUS(status) == refused);
}

TEST_CASE("a linked flush runs after its write", "[uring]") {
  auto ring = make_ring();
  if (!ring)
    return;
  scratch_file file;
  const std::vector<std::byte> data(1 * MiB);
  std::vector<recorded*> order;
  for (std::uint64_t i = 0; i < 20; ++i) {
    recorded written;
    recorded flushed;
    written.order = flushed.order = &order;
    order.clear();
    ring->write(written, file.descriptor, data, i * data.size(), nullptr, true);
    ring->flush(flushed, file.descriptor);
    REQUIRE(run_until(*ring, [&] { return written.times + flushed.times == 2; }));
    CHECK(written.result == static_cast<std::int32_t>(data.size()));
    CHECK(flushed.result == 0);
    CHECK(order == std::vector<recorded*>{&written, &flushed});
  }
}

TEST_CASE("a failing write cancels its linked flush", "[uring]") {
  auto ring = make_ring();
  if (!ring)
    return;
  const int readable = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  REQUIRE(readable >= 0);
  recorded written;
  recorded flushed;
  ring->write(written, readable, as_bytes("x"), 0, nullptr, true);
  ring->flush(flushed, readable);
  REQUIRE(run_until(*ring, [&] { return written.times + flushed.times == 2; }));
  CHECK(written.result == -EBADF);
  CHECK(flushed.result == -ECANCELED);
  ::close(readable);
}

TEST_CASE("a short write cancels its linked flush", "[uring]") {
  auto ring = make_ring();
  if (!ring)
    return;
  const ::pid_t child = ::fork(); // the limit on file sizes is the process's own
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{6000, 6000};
    ::setrlimit(RLIMIT_FSIZE, &small);
    char name[] = "/tmp/lance-uring-XXXXXX";
    const int file = ::mkostemp(name, O_CLOEXEC);
    ::unlink(name);
    auto own = uring::make(ring->capabilities(), {.submission_depth = 8});
    const std::vector<std::byte> data(8192);
    recorded written;
    recorded flushed;
    (*own)->write(written, file, data, 0, nullptr, true);
    (*own)->flush(flushed, file);
    const bool ended = run_until(**own, [&] { return written.times + flushed.times == 2; });
    ::_exit(ended && written.result == 6000 && flushed.result == -ECANCELED ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a full submission ring makes its own room", "[uring]") {
  auto ring = make_ring(4);
  if (!ring)
    return;
  scratch_file file;
  std::deque<recorded> written(500);
  const std::vector<std::byte> block(16, std::byte{7});
  const auto enters = ring->enters();
  for (std::size_t i = 0; i < written.size(); ++i)
    ring->write(written[i], file.descriptor, block, i * block.size(), nullptr);
  CHECK(ring->enters() > enters); // how a caller knows that a chain may have been cut
  REQUIRE(run_until(*ring, [&] {
    return std::all_of(written.begin(), written.end(), [](const auto& w) { return w.times > 0; });
  }));
  for (const auto& each : written) {
    CHECK(each.times == 1);
    CHECK(each.result == 16);
  }
  CHECK(::lseek(file.descriptor, 0, SEEK_END) == 500 * 16);
}

TEST_CASE("a cancelled receive ends", "[uring]") {
  auto ring = make_ring();
  if (!ring)
    return;
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  std::vector<std::byte> into(100);
  recorded waiting;
  ring->receive(waiting, pair[0], into);
  ring->turn();
  ring->wait(2 * ms_in_ns);
  CHECK(waiting.times == 0);
  ring->cancel(waiting);
  REQUIRE(run_until(*ring, [&] { return waiting.times == 1; }));
  CHECK(waiting.result == -ECANCELED);
  CHECK_FALSE(waiting.again);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_CASE("wake ends a wait, from any thread and ahead of it", "[uring]") {
  auto ring = make_ring();
  if (!ring)
    return;
  while (ring->turn()) {
  }
  const auto waited = [&] {
    const auto began = steady::now();
    ring->wait(10 * s_in_ns);
    while (ring->turn()) {
    }
    return steady::now() - began;
  };
  ring->wake();
  ring->wake(); // counted together
  CHECK(waited() < std::chrono::seconds{2});
  for (int i = 0; i < 50; ++i) {
    std::thread other{[&] { ring->wake(); }};
    CHECK(waited() < std::chrono::seconds{2});
    other.join();
  }
  while (ring->turn()) {
  }
  const auto began = steady::now();
  ring->wait(5 * ms_in_ns);
  CHECK(steady::now() - began >= std::chrono::milliseconds{4});
}

} // namespace lance::runtime
