// The same stories over every form of the real disk: system calls inline, on a helper thread, and
// through io_uring with and without registered buffers.
#include "storage/posix_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench_of_log.hpp"
#include "storage/layout.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

enum class backend { inline_calls, helper_thread, ring, ring_buffered };

// A disk in a temporary directory, the process's working directory meanwhile, so that the paths of
// the other tests serve here too.
class place {
 public:
  explicit place(backend which) {
    char name[] = "/var/tmp/lance-storage-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
    before_ = ::open(".", O_RDONLY | O_DIRECTORY);
    REQUIRE(::chdir(name) == 0);
    posix_disk_options options;
    options.allow_direct = which != backend::ring_buffered;
    if (which == backend::helper_thread) {
      helper = std::make_unique<runtime::blocking_thread>([](void*) {}, nullptr);
      options.helper = helper.get();
    }
    if (which == backend::ring || which == backend::ring_buffered) {
      const auto can = runtime::probe_uring();
      if (!can.available)
        return;
      ring = *runtime::uring::make(can, {64});
      options.ring = ring.get();
    }
    door = make_posix_disk(options);
  }
  ~place() {
    helper.reset();
    (void)!::fchdir(before_);
    ::close(before_);
    (void)!std::system(("rm -rf " + path_).c_str()); // NOLINT: a path of our own making
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  bool drive() {
    if (ring != nullptr) {
      if (ring->turn())
        return true;
      ring->wait(1 * ms_in_ns);
      return ring->turn();
    }
    ::usleep(50); // a thread may be at work
    return helper != nullptr && helper->deliver();
  }

  std::unique_ptr<runtime::blocking_thread> helper;
  std::unique_ptr<runtime::uring> ring;
  std::unique_ptr<disk> door; ///< null when this machine has no such thing

 private:
  std::string path_;
  int before_ = -1;
};

const char* name_of(backend which) {
  switch (which) {
  case backend::inline_calls:
    return "inline calls";
  case backend::helper_thread:
    return "helper thread";
  case backend::ring:
    return "io_uring, direct";
  case backend::ring_buffered:
    return "io_uring, buffered";
  }
  return "";
}

setup roomy() {
  setup how;
  how.pool_buffers = 400;
  how.chosen.preallocate_bytes = 1 * MiB;
  return how;
}

struct whole_write final : write_request {
  void parts_written() override { all_parts = true; }
  void written(result<> result) override {
    outcome = result;
    done = true;
  }
  result<> outcome;
  bool all_parts = false;
  bool done = false;
};

struct whole_read final : read_request {
  void read_done(result<std::size_t> result) override {
    outcome = result;
    done = true;
  }
  result<std::size_t> outcome;
  bool done = false;
};

} // namespace

#define SKIP_WITHOUT(here, which)                                                                  \
  if ((here).door == nullptr) {                                                                    \
    WARN("skipped: this machine refuses " << name_of(which));                                      \
    return;                                                                                        \
  }

TEST_CASE("a write that ends short goes on behind what was written, and says what stopped it",
          "[disk]") {
  const auto which = GENERATE(backend::inline_calls, backend::helper_thread, backend::ring,
                              backend::ring_buffered);
  place here{which};
  SKIP_WITHOUT(here, which)
  INFO(name_of(which));
  const auto pool = *runtime::buffer_pool::make({8, 64 * KiB, -1, false});
  auto data = *here.door->open("f", {.create = true, .direct = true});
  std::vector<runtime::buffer_ref> buffers;
  whole_write writing;
  for (std::size_t i = 0; i < 4; ++i) {
    buffers.push_back(pool->take());
    std::memset(buffers.back().data(), static_cast<int>('a' + i), 64 * KiB);
    writing.parts.push_back({i * 64 * KiB, {buffers.back().data(), 64 * KiB}, pool.get()});
  }
  writing.flush = true;
  // The system writes up to its limit for a file, and refuses what comes behind it.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{100 * KiB, before.rlim_max};
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  data->write(writing);
  while (!writing.done)
    here.drive();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, ignored);
  REQUIRE_FALSE(writing.outcome);
  CHECK(writing.outcome.error().system == EFBIG);
  CHECK_FALSE(writing.all_parts);
  CHECK(*data->size() == 100 * KiB);
  std::vector<std::byte> there(100 * KiB);
  REQUIRE(here.door->open("f", {.read_only = true}).value()->read_now(0, there));
  CHECK(there.front() == std::byte{'a'});
  CHECK(there.back() == std::byte{'b'});

  writing.done = writing.all_parts = false; // and all of it where there is room
  data->write(writing);
  while (!writing.done)
    here.drive();
  CHECK(writing.outcome);
  CHECK(*data->size() == 256 * KiB);
}

TEST_CASE("without read-ahead a buffered read brings into memory what it asks for", "[disk]") {
  place here{backend::inline_calls};
  constexpr std::size_t size = 4 * MiB;
  constexpr std::size_t piece = 64 * KiB;
  {
    auto data = *here.door->open("f", {.create = true});
    REQUIRE(data->write_now(0, std::vector<std::byte>(size, std::byte{7})));
  }
  const auto resident = [] {
    const int file = ::open("f", O_RDONLY);
    auto* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
    ::close(file);
    REQUIRE(memory != MAP_FAILED);
    std::vector<unsigned char> pages(size / 4096);
    REQUIRE(::mincore(memory, size, pages.data()) == 0);
    ::munmap(memory, size);
    return std::count_if(pages.begin(), pages.end(), [](auto page) { return (page & 1) != 0; });
  };
  auto data = *here.door->open("f", {.read_only = true});
  for (const bool ahead : {true, false, true, false}) {
    data->set_read_ahead(ahead);
    REQUIRE(data->forget_cached());
    if (resident() > 0) {
      WARN("skipped: this file system keeps its pages");
      return;
    }
    std::vector<std::byte> into(piece);
    for (std::size_t at = 0; at < 4; ++at) // as a reader goes on, which invites read-ahead
      REQUIRE(data->read_now(at * piece, into));
    const auto asked = static_cast<std::ptrdiff_t>(4 * piece / 4096);
    for (int i = 0; i < 2000 && ahead && resident() <= asked; ++i)
      ::usleep(1000); // it comes behind our back
    CHECK((resident() > asked) == ahead);
  }
}

TEST_CASE("a file writes its parts, flushes, and reads to its end", "[disk]") {
  const auto which = GENERATE(backend::inline_calls, backend::helper_thread, backend::ring,
                              backend::ring_buffered);
  place here{which};
  SKIP_WITHOUT(here, which)
  INFO(name_of(which));
  const auto pool = *runtime::buffer_pool::make({8, 64 * KiB, -1, false});
  if (here.ring != nullptr)
    (void)here.ring->register_pool(*pool); // refused on small memlock limits: still serves
  auto data = *here.door->open("f", {.create = true, .direct = true});
  REQUIRE(data->allocate(1 * MiB));
  CHECK(*data->size() == 1 * MiB);

  std::vector<runtime::buffer_ref> buffers;
  whole_write writing;
  for (const std::size_t count : {std::size_t{1}, std::size_t{4}}) { // linked flush, and many parts
    writing.parts.clear();
    buffers.clear();
    for (std::size_t i = 0; i < count; ++i) {
      buffers.push_back(pool->take());
      std::memset(buffers.back().data(), static_cast<int>('a' + i + count), 64 * KiB);
      writing.parts.push_back({i * 64 * KiB, {buffers.back().data(), 64 * KiB}, pool.get()});
    }
    writing.flush = true;
    writing.done = writing.all_parts = false;
    data->write(writing);
    while (!writing.done)
      here.drive();
    REQUIRE(writing.outcome);
    CHECK(writing.all_parts);
  }
  writing.parts.clear(); // a flush alone
  writing.done = false;
  data->write(writing);
  while (!writing.done)
    here.drive();
  CHECK(writing.outcome);

  REQUIRE(data->truncate(130 * KiB + 7));
  REQUIRE(data->sync());
  whole_read reading;
  reading.position = 128 * KiB;
  reading.into = {buffers[0].data(), 64 * KiB};
  reading.pool = pool.get();
  data->read(reading);
  while (!reading.done)
    here.drive();
  REQUIRE(reading.outcome);
  CHECK(*reading.outcome == 2 * KiB + 7); // the end of the file
  CHECK(buffers[0].data()[0] == static_cast<std::byte>('a' + 6));
}

TEST_CASE("a write that the system refuses is reported", "[disk]") {
  const auto which = GENERATE(backend::inline_calls, backend::helper_thread, backend::ring);
  place here{which};
  SKIP_WITHOUT(here, which)
  INFO(name_of(which));
  REQUIRE(here.door->open("f", {.create = true}));
  auto data = *here.door->open("f", {.read_only = true});
  const auto bytes = payload_of(1, 4096);
  whole_write writing;
  writing.parts.push_back({0, bytes, nullptr});
  writing.flush = true;
  data->write(writing);
  while (!writing.done)
    here.drive();
  REQUIRE_FALSE(writing.outcome);
  CHECK(writing.outcome.error() == error{errc::io_failed, EBADF});
  CHECK_FALSE(writing.all_parts);
}

TEST_CASE("a flush is not lost when the submission ring fills between it and its write", "[disk]") {
  const auto which = backend::ring;
  place here{which};
  SKIP_WITHOUT(here, which)
  // A ring of 64 entries and requests of two: some pairs are cut by the ring's own submissions.
  std::vector<std::unique_ptr<file>> files;
  std::vector<std::unique_ptr<whole_write>> writes;
  const auto bytes = payload_of(1, 4096);
  for (int i = 0; i < 100; ++i) {
    files.push_back(*here.door->open("f" + std::to_string(i), {.create = true}));
    writes.push_back(std::make_unique<whole_write>());
    writes.back()->parts.push_back({0, bytes, nullptr});
    writes.back()->flush = true;
    if (i == 50) { // an odd entry in between
      writes.back()->parts.push_back({4096, bytes, nullptr});
    }
    files.back()->write(*writes.back());
  }
  for (int i = 0; i < 10'000 && !std::all_of(writes.begin(), writes.end(),
                                             [](const auto& one) { return one->done; });
       ++i)
    here.drive();
  for (const auto& one : writes) {
    REQUIRE(one->done);
    CHECK(one->outcome);
    CHECK(one->all_parts);
  }
  // More flushes than writes were needed only if a pair was cut; at least one for each.
  CHECK(here.ring->completed() >= 200);
}

TEST_CASE("names, directories, locks and maps of the real disk", "[disk]") {
  place here{backend::inline_calls};
  auto& door = *here.door;
  REQUIRE(door.make_directories("a/b/c"));
  REQUIRE(door.make_directories("a/b/c"));
  {
    auto data = *door.open("a/b/c/x", {.create = true});
    REQUIRE(data->write_now(5, payload_of(1, 100)));
    REQUIRE(data->truncate(1 * MiB));
    const auto hole = *data->next_data(8192);
    CHECK((hole == 1 * MiB || hole == 8192)); // or a file system that cannot tell
  }
  CHECK(door.open("a/b/none", {}).error() == error{errc::io_failed, ENOENT});
  REQUIRE(door.rename("a/b/c/x", "a/b/c/y"));
  REQUIRE(door.sync_directory("a/b/c"));
  CHECK(*door.list("a/b/c") == std::vector<std::string>{"y"});
  CHECK(door.list("a/b/c/y").error().system == ENOTDIR);
  CHECK(door.exists("a/b/c/y"));
  const auto mapped = *door.map("a/b/c/y");
  CHECK(mapped->bytes().size() == 1 * MiB);
  CHECK(std::equal(mapped->bytes().begin() + 5, mapped->bytes().begin() + 105,
                   payload_of(1, 100).begin()));
  REQUIRE(door.open("a/empty", {.create = true}));
  CHECK((*door.map("a/empty"))->bytes().empty());
  const auto space = *door.space("a");
  CHECK(space.free_bytes > 0);
  CHECK(space.free_bytes <= space.total_bytes);
  auto lock = door.lock("a/lock");
  REQUIRE(lock);
  CHECK(door.lock("a/lock").error().system == EWOULDBLOCK);
  lock->reset();
  CHECK(door.lock("a/lock"));
  REQUIRE(door.remove("a/b/c/y"));
  REQUIRE(door.remove_directory("a/b/c"));
  CHECK(door.remove_directory("a").error().code == errc::io_failed); // not empty
}

TEST_CASE("a log appends, rolls, restarts and reads on the real disk", "[disk]") {
  const auto which = GENERATE(backend::inline_calls, backend::helper_thread, backend::ring,
                              backend::ring_buffered);
  const auto level = GENERATE(durability::fsync, durability::memory);
  place here{which};
  SKIP_WITHOUT(here, which)
  INFO(name_of(which));
  const bool off_lane = level == durability::fsync; // slow deeds on their own thread, or inline
  runtime::blocking_thread slow{[](void*) {}, nullptr};
  auto how = roomy();
  how.policy.level = level;
  log_bench bench{*here.door, how, [&] {
                    const bool delivered = slow.deliver();
                    return here.drive() || delivered;
                  }};
  if (off_lane)
    bench.environment().helper = &slow;
  if (here.ring != nullptr)
    (void)here.ring->register_pool(bench.append_pool());
  REQUIRE(bench.open());
  bench.append_durably(40, 3000);
  bench.append_durably(5, 300 * KiB);
  bench.append_durably(8, 5 * MiB);
  CHECK(bench.log().segment_count() == 2);
  bench.append_durably(20, 100);
  for (int i = 0; i < 3; ++i) {
    bench.tick();
    bench.settle();
  }
  bench.verify_all(batch_number{1});
  bench.cache().shrink_to(0);
  bench.verify_all(batch_number{1});
  bench.stop(); // as if killed: nothing is under way
  REQUIRE(bench.open());
  CHECK(bench.log().durable_next() == batch_number{74});
  CHECK(bench.log().recovered().quarantined_bytes == 0);
  bench.append_durably(3, 1000);
  bench.close();
  REQUIRE(bench.open());
  CHECK(bench.log().durable_next() == batch_number{77});
  CHECK_FALSE(bench.log().has_active());
  bench.verify_all(batch_number{1});
  bench.append_durably(1, 10);
  bench.verify_all(batch_number{70});
  bench.close();
}

TEST_CASE("a torn tail on the real disk is set aside", "[disk]") {
  place here{backend::inline_calls};
  log_bench bench{*here.door, roomy(), [&] { return here.drive(); }};
  REQUIRE(bench.open());
  bench.append_durably(5, 5000);
  bench.stop();
  const auto names = here.door->list("data/segments/t/0");
  for (const auto& name : *names)
    if (layout::parse(name).kind == layout::file_kind::active_segment) {
      auto data = *here.door->open("data/segments/t/0/" + name, {});
      REQUIRE(data->write_now(5 * 5112, payload_of(77, 3000)));
    }
  REQUIRE(bench.open());
  CHECK(bench.log().recovered().quarantined_bytes == 3000);
  CHECK(bench.log().durable_next() == batch_number{6});
  bench.append_durably(5, 5000);
  bench.verify_all(batch_number{1});
}
