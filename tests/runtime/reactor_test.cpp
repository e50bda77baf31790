#include "runtime/reactor.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <optional>
#include <thread>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/types.hpp"
#include "runtime/uring.hpp"
#include "tests/wire/random.hpp"

namespace lance::runtime {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;
using random_source = wire::test::random_source;

enum class backend : std::uint8_t { epoll, uring };

/// A reactor with its receive pool, and the loop that a lane would run.
class bench {
 public:
  bench(backend which, std::uint32_t buffers, std::size_t buffer_bytes)
      : pool_(buffer_pool::make({.count = buffers, .buffer_bytes = buffer_bytes}).value()) {
    if (which == backend::uring) {
      const auto found = probe_uring();
      if (!found.available) {
        WARN("io_uring is not to be had here: not tested");
        return;
      }
      io_ =
          make_uring_reactor(uring::make(found, {.submission_depth = 64}).value(), *pool_).value();
    } else {
      io_ = make_epoll_reactor(*pool_).value();
    }
  }
  explicit operator bool() const noexcept { return io_ != nullptr; }
  reactor* operator->() const noexcept { return io_.get(); }
  reactor& operator*() const noexcept { return *io_; }
  buffer_pool& pool() noexcept { return *pool_; }

  template <class Condition>
  bool until(Condition met, milliseconds limit = milliseconds{5000}) {
    const auto end = steady::now() + limit;
    while (!met()) {
      if (steady::now() > end)
        return false;
      if (!io_->turn())
        io_->wait(1 * ms_in_ns);
    }
    return true;
  }
  void run_for(milliseconds time) {
    (void)until([] { return false; }, time);
  }

 private:
  std::unique_ptr<buffer_pool> pool_;
  std::unique_ptr<reactor> io_;
};

struct socket_pair {
  int ours = -1; ///< for the reactor, which closes it
  int theirs = -1;
};

struct listening {
  int socket = -1;
  sockaddr_in address{};
};

listening listen_on_loopback() {
  listening made;
  made.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  made.address.sin_family = AF_INET;
  made.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof made.address;
  REQUIRE(::bind(made.socket, reinterpret_cast<sockaddr*>(&made.address), length) == 0);
  REQUIRE(::listen(made.socket, 128) == 0);
  REQUIRE(::getsockname(made.socket, reinterpret_cast<sockaddr*>(&made.address), &length) == 0);
  return made;
}

int connect_to(const listening& where) {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(made >= 0);
  REQUIRE(::connect(made, reinterpret_cast<const sockaddr*>(&where.address),
                    sizeof where.address) == 0);
  return made;
}

socket_pair tcp_pair() {
  const auto where = listen_on_loopback();
  socket_pair made;
  made.theirs = connect_to(where);
  made.ours = ::accept4(where.socket, nullptr, nullptr, SOCK_CLOEXEC);
  REQUIRE(made.ours >= 0);
  ::close(where.socket);
  return made;
}

/// Keeps all that comes; keeps buffers when told to; can echo.
class recorder final : public stream {
 public:
  void begin(reactor& io, int socket) {
    handle = &io.add(socket, *this);
    handle->resume_receive();
  }
  void received(buffer_ref buffer, std::uint32_t size) override {
    REQUIRE(closed == 0);
    REQUIRE(!ended);
    REQUIRE(size > 0);
    REQUIRE(size <= buffer.size());
    ++receives;
    total += size;
    if (keep_bytes)
      bytes.insert(bytes.end(), buffer.data(), buffer.data() + size);
    if (echo) {
      waiting.push_back({std::move(buffer), size});
      send_next();
    } else if (hold) {
      held.push_back(std::move(buffer));
    }
    if (close_on_receive)
      close();
  }
  void receive_ended(std::int32_t error) override {
    REQUIRE(closed == 0);
    REQUIRE(!ended);
    ended = error;
    if (close_on_end)
      close();
  }
  void sent(std::int32_t error) override {
    REQUIRE(closed == 0);
    sent_result = error;
    ++sends;
    if (echo) {
      waiting.pop_front();
      sending = false;
      if (error == 0)
        send_next();
    }
    if (close_on_sent)
      close();
  }
  void stream_closed() override {
    REQUIRE(!inside_close);
    handle = nullptr;
    ++closed;
  }
  void close() {
    inside_close = true;
    handle->close();
    inside_close = false;
  }
  void send_next() {
    if (sending || waiting.empty())
      return;
    sending = true;
    handle->send({waiting.front().first.data(), waiting.front().second});
  }

  socket_handle* handle = nullptr;
  bool echo = false;
  bool hold = false;
  bool keep_bytes = true;
  bool close_on_receive = false;
  bool close_on_end = false;
  bool close_on_sent = false;
  std::vector<std::byte> bytes;
  std::uint64_t total = 0;
  std::deque<buffer_ref> held;
  std::deque<std::pair<buffer_ref, std::uint32_t>> waiting;
  bool sending = false;
  bool inside_close = false;
  int receives = 0;
  int sends = 0;
  int closed = 0;
  std::optional<std::int32_t> ended;
  std::optional<std::int32_t> sent_result;
};

void end(bench& io, recorder& which) {
  if (which.handle != nullptr)
    which.close();
  REQUIRE(io.until([&] { return which.closed == 1; }));
}

void write_all(int socket, byte_view data) {
  while (!data.empty()) {
    const auto size = ::send(socket, data.data(), data.size(), MSG_NOSIGNAL);
    if (size <= 0)
      return;
    data = data.subspan(static_cast<std::size_t>(size));
  }
}

std::vector<std::byte> read_exactly(int socket, std::size_t count) {
  std::vector<std::byte> got(count);
  std::size_t have = 0;
  while (have < count) {
    const auto size = ::recv(socket, got.data() + have, count - have, 0);
    if (size <= 0)
      break;
    have += static_cast<std::size_t>(size);
  }
  got.resize(have);
  return got;
}

class connections final : public acceptor {
 public:
  ~connections() {
    for (const int each : sockets)
      ::close(each);
  }
  void accepted(std::int32_t outcome) override {
    if (outcome < 0)
      errors.push_back(outcome);
    else
      sockets.push_back(outcome);
  }
  void accept_stopped() override { ++stopped; }
  std::vector<int> sockets;
  std::vector<std::int32_t> errors;
  int stopped = 0;
};

/// Runs a story on both implementations.
#define ON_BOTH(io, buffers, bytes)                                                                \
  const auto which_backend = GENERATE(backend::epoll, backend::uring);                             \
  CAPTURE(static_cast<int>(which_backend));                                                        \
  bench io(which_backend, buffers, bytes);                                                         \
  if (!(io))                                                                                       \
  return

} // namespace

TEST_CASE("a reactor accepts connections until it is told to stop", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  const auto where = listen_on_loopback();
  connections came;
  io->listen(where.socket, came);
  std::vector<int> clients;
  for (int i = 0; i < 20; ++i)
    clients.push_back(connect_to(where));
  REQUIRE(io.until([&] { return came.sockets.size() == 20; }));

  io->stop_listening(where.socket);
  REQUIRE(came.stopped == 0);
  REQUIRE(io.until([&] { return came.stopped == 1; }));
  clients.push_back(connect_to(where)); // the kernel's backlog takes it, nobody else
  io.run_for(milliseconds{30});
  CHECK(came.sockets.size() == 20);
  CHECK(came.stopped == 1);
  CHECK(came.errors.empty());
  for (const int each : clients)
    ::close(each);
  ::close(where.socket);
}

TEST_CASE("a lack of descriptors is reported once and does not spin", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  const auto where = listen_on_loopback();
  connections came;
  const int client = connect_to(where);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  auto none = before;
  none.rlim_cur = 0; // no further descriptor; the open ones stay
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  io->listen(where.socket, came); // a ring remembers the limit of this moment
  const bool reported = io.until([&] { return !came.errors.empty(); });
  const auto enters = io->enters();
  io.run_for(milliseconds{50});
  const auto entered = io->enters() - enters;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(reported);
  CHECK(came.errors == std::vector<std::int32_t>{-EMFILE});
  CHECK(entered < 300); // some 50 waits of a millisecond, each with its turn

  SECTION("and listening again takes who waited") {
    io->listen(where.socket, came);
    REQUIRE(io.until([&] { return came.sockets.size() == 1; }));
    io->stop_listening(where.socket);
    REQUIRE(io.until([&] { return came.stopped == 1; }));
  }
  ::close(client);
  ::close(where.socket);
}

TEST_CASE("bytes come back as they went, whatever the chunks", "[reactor]") {
  ON_BOTH(io, 8, 4096);
  random_source random{"reactor echo"};
  const auto data = random.bytes(1 * MiB + random.up_to(100'000));
  std::vector<std::size_t> chunks;
  for (std::size_t left = data.size(); left > 0;) {
    chunks.push_back(std::min<std::size_t>(left, 1 + random.up_to(20'000)));
    left -= chunks.back();
  }
  const auto pair = tcp_pair();
  recorder echo;
  echo.echo = true;
  echo.keep_bytes = false;
  echo.begin(*io, pair.ours);
  std::thread writer{[&] {
    std::size_t at = 0;
    for (const auto size : chunks) {
      write_all(pair.theirs, byte_view{data}.subspan(at, size));
      at += size;
    }
  }};
  std::atomic<bool> done{false};
  std::vector<std::byte> back;
  std::thread reader{[&] {
    back = read_exactly(pair.theirs, data.size());
    done = true;
    io->wake();
  }};
  const bool whole = io.until([&] { return done.load(); }, milliseconds{20'000});
  if (!whole)
    ::shutdown(pair.theirs, SHUT_RDWR);
  writer.join();
  reader.join();
  REQUIRE(whole);
  CHECK(back == data);
  end(io, echo);
  ::close(pair.theirs);
  echo.waiting.clear();
}

TEST_CASE("a dry receive pool pushes back, and nothing is lost", "[reactor]") {
  ON_BOTH(io, 2, 4096);
  random_source random{"reactor dry pool"};
  const auto data = random.bytes(200'000);
  const auto pair = tcp_pair();
  recorder slow;
  slow.hold = true;
  slow.begin(*io, pair.ours);
  std::thread writer{[&] { write_all(pair.theirs, data); }};
  const bool dry = io.until([&] { return slow.held.size() == 2; });
  io.run_for(milliseconds{20});
  CHECK(slow.held.size() == 2);
  bool went_on = dry;
  while (went_on && slow.total < data.size()) {
    const auto before = slow.receives;
    slow.held.pop_front();
    went_on = io.until([&] { return slow.receives > before; });
  }
  if (!went_on)
    ::shutdown(pair.theirs, SHUT_RDWR);
  writer.join();
  REQUIRE(went_on);
  CHECK(slow.bytes == data);
  slow.held.clear();
  end(io, slow);
  ::close(pair.theirs);
}

TEST_CASE("a buffer that returns is seen before the lane parks", "[reactor]") {
  ON_BOTH(io, 1, 4096);
  const auto pair = tcp_pair();
  recorder slow;
  slow.hold = true;
  slow.begin(*io, pair.ours);
  const std::vector<std::byte> data(3 * 4096);
  write_all(pair.theirs, data);
  for (std::uint64_t part = 1; part <= 3; ++part) {
    REQUIRE(io.until([&] { return slow.total == part * 4096; }));
    while (io->turn()) {
    }
    if (part == 3)
      break;
    REQUIRE_FALSE(io->ready());
    slow.held.clear(); // between the lane's last turn and its look around before parking
    REQUIRE(io->ready());
  }
  slow.held.clear();
  end(io, slow);
  ::close(pair.theirs);
}

TEST_CASE("streams that starve share what returns", "[reactor]") {
  ON_BOTH(io, 3, 4096);
  random_source random{"reactor starving"};
  constexpr std::size_t count = 12;
  const auto data = random.bytes(100'000);
  std::vector<socket_pair> pairs;
  std::vector<recorder> streams(count);
  for (auto& each : streams) {
    pairs.push_back(tcp_pair());
    each.begin(*io, pairs.back().ours);
  }
  std::vector<std::thread> writers;
  for (const auto& each : pairs)
    writers.emplace_back([&data, to = each.theirs] { write_all(to, data); });
  const bool whole = io.until(
      [&] {
        return std::all_of(streams.begin(), streams.end(),
                           [&](const auto& each) { return each.total == data.size(); });
      },
      milliseconds{20'000});
  for (const auto& each : pairs)
    if (!whole)
      ::shutdown(each.theirs, SHUT_RDWR);
  for (auto& each : writers)
    each.join();
  REQUIRE(whole);
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(streams[i].bytes == data);
    end(io, streams[i]);
    ::close(pairs[i].theirs);
  }
}

TEST_CASE("receiving pauses and resumes", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  const auto pair = tcp_pair();
  recorder calm;
  calm.begin(*io, pair.ours);
  write_all(pair.theirs, as_bytes("one"));
  REQUIRE(io.until([&] { return calm.total == 3; }));
  calm.handle->pause_receive();
  io.run_for(milliseconds{5});
  write_all(pair.theirs, as_bytes("two"));
  io.run_for(milliseconds{20});
  CHECK(calm.total == 3);
  calm.handle->resume_receive();
  REQUIRE(io.until([&] { return calm.total == 6; }));
  for (int i = 0; i < 5; ++i) { // at once, before the kernel has heard of either
    calm.handle->pause_receive();
    calm.handle->resume_receive();
  }
  write_all(pair.theirs, as_bytes("three"));
  REQUIRE(io.until([&] { return calm.total == 11; }));
  CHECK(as_text(calm.bytes) == "onetwothree");
  end(io, calm);
  ::close(pair.theirs);
}

TEST_CASE("a large send reaches a slow reader whole", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  random_source random{"reactor large send"};
  const auto data = random.bytes(6 * MiB);
  const auto pair = tcp_pair();
  recorder sender;
  sender.begin(*io, pair.ours);
  sender.handle->send(data);
  io.run_for(milliseconds{20});
  CHECK(sender.sends == 0); // more than a socket takes
  std::vector<std::byte> got;
  std::thread reader{[&] {
    while (got.size() < data.size()) {
      const auto part =
          read_exactly(pair.theirs, std::min<std::size_t>(data.size() - got.size(), 300'000));
      got.insert(got.end(), part.begin(), part.end());
      std::this_thread::sleep_for(milliseconds{2});
    }
  }};
  const bool whole = io.until([&] { return sender.sends == 1; }, milliseconds{20'000});
  if (!whole)
    ::shutdown(pair.ours, SHUT_RDWR);
  reader.join();
  REQUIRE(whole);
  CHECK(sender.sent_result == 0);
  CHECK(got == data);
  end(io, sender);
  ::close(pair.theirs);
}

TEST_CASE("closing with operations under way ends once and later", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  const std::vector<std::byte> data(8 * MiB);
  const auto pair = tcp_pair();
  recorder busy;
  busy.begin(*io, pair.ours);
  busy.handle->send(data); // nobody reads it
  io.run_for(milliseconds{10});
  SECTION("under way") {}
  SECTION("with bytes that nobody has seen yet") {
    write_all(pair.theirs, as_bytes("too late"));
  }
  SECTION("paused a moment ago") {
    busy.handle->pause_receive();
  }
  const auto receives = busy.receives;
  busy.close();
  busy.handle->close(); // says nothing new
  REQUIRE(io.until([&] { return busy.closed > 0; }));
  io.run_for(milliseconds{10});
  CHECK(busy.closed == 1);
  CHECK(busy.receives == receives);
  CHECK(busy.sends == 0);
  CHECK(io.until([&] { return io.pool().lent() == 0 || io->ring() != nullptr; }));
  ::close(pair.theirs);
}

TEST_CASE("a stream may be closed from within what it hears", "[reactor]") {
  ON_BOTH(io, 8, 4096);
  std::vector<socket_pair> pairs;
  std::deque<recorder> streams(24);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    pairs.push_back(tcp_pair());
    auto& each = streams[i];
    each.close_on_receive = i % 3 == 0;
    each.close_on_end = i % 3 == 1;
    each.close_on_sent = i % 3 == 2;
    each.begin(*io, pairs[i].ours);
  }
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (i % 3 == 0)
      write_all(pairs[i].theirs, as_bytes("the end"));
    else if (i % 3 == 1)
      ::shutdown(pairs[i].theirs, SHUT_WR);
    else
      streams[i].handle->send(as_bytes("the end"));
  }
  REQUIRE(io.until([&] {
    return std::all_of(streams.begin(), streams.end(),
                       [](const auto& each) { return each.closed > 0; });
  }));
  io.run_for(milliseconds{5});
  for (std::size_t i = 0; i < streams.size(); ++i) {
    CHECK(streams[i].closed == 1);
    ::close(pairs[i].theirs);
  }
}

TEST_CASE("a half closed peer still hears, a reset one does not", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  const auto pair = tcp_pair();
  recorder polite;
  polite.begin(*io, pair.ours);
  SECTION("half closed") {
    write_all(pair.theirs, as_bytes("last words"));
    ::shutdown(pair.theirs, SHUT_WR);
    REQUIRE(io.until([&] { return polite.ended.has_value(); }));
    CHECK(polite.ended == 0);
    CHECK(as_text(polite.bytes) == "last words");
    polite.handle->send(as_bytes("heard"));
    REQUIRE(io.until([&] { return polite.sends == 1; }));
    CHECK(as_text(read_exactly(pair.theirs, 5)) == "heard");
    CHECK(polite.closed == 0);
    ::close(pair.theirs);
  }
  SECTION("reset") {
    const linger hard{1, 0};
    ::setsockopt(pair.theirs, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(pair.theirs);
    REQUIRE(io.until([&] { return polite.ended.has_value(); }));
    CHECK(polite.ended == -ECONNRESET);
    polite.handle->send(as_bytes("anybody?"));
    REQUIRE(io.until([&] { return polite.sends == 1; }));
    CHECK(*polite.sent_result < 0);
  }
  end(io, polite);
}

TEST_CASE("wake ends a wait, before and during it", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  while (io->turn()) {
  }
  const auto waited = [&] {
    const auto began = steady::now();
    io->wait(10 * s_in_ns);
    io->turn();
    return steady::now() - began;
  };
  io->wake();
  CHECK(waited() < milliseconds{2000});
  for (int i = 0; i < 20; ++i) {
    std::thread other{[&] {
      std::this_thread::sleep_for(milliseconds{2});
      io->wake();
    }};
    CHECK(waited() < milliseconds{2000});
    other.join();
  }
  while (io->turn()) {
  }
  const auto began = steady::now();
  io->wait(5 * ms_in_ns);
  CHECK(steady::now() - began >= milliseconds{4});
}

TEST_CASE("many streams with random deeds keep their bytes apart", "[reactor]") {
  ON_BOTH(io, 16, 4096);
  random_source random{"reactor many"};
  constexpr std::size_t count = 150;
  std::vector<socket_pair> pairs;
  std::deque<recorder> streams(count);
  std::vector<std::vector<std::byte>> expected(count);
  for (std::size_t i = 0; i < count; ++i) {
    pairs.push_back(tcp_pair());
    streams[i].begin(*io, pairs[i].ours);
  }
  for (int step = 0; step < 3000; ++step) {
    const auto i = random.up_to(count - 1);
    auto& which = streams[i];
    if (which.handle == nullptr)
      continue;
    const auto deed = random.up_to(99);
    if (deed < 70) {
      const auto data = random.bytes(1 + random.up_to(6000));
      expected[i].insert(expected[i].end(), data.begin(), data.end());
      write_all(pairs[i].theirs, data);
    } else if (deed < 80) {
      which.handle->pause_receive();
    } else if (deed < 98) {
      which.handle->resume_receive();
    } else {
      which.close();
      which.handle = nullptr;
    }
    if (step % 7 == 0)
      io->turn();
  }
  for (auto& each : streams)
    if (each.handle != nullptr)
      each.handle->resume_receive();
  REQUIRE(io.until([&] {
    for (std::size_t i = 0; i < count; ++i)
      if (streams[i].handle != nullptr && streams[i].total < expected[i].size())
        return false;
    return true;
  }));
  for (std::size_t i = 0; i < count; ++i) {
    const bool kept = streams[i].handle != nullptr;
    expected[i].resize(std::min(expected[i].size(), streams[i].bytes.size()));
    CHECK(streams[i].bytes == expected[i]);
    if (kept)
      streams[i].close();
    REQUIRE(io.until([&] { return streams[i].closed == 1; }));
    ::close(pairs[i].theirs);
  }
}

TEST_CASE("a reactor may go with streams still open", "[reactor]") {
  ON_BOTH(io, 4, 4096);
  const auto pair = tcp_pair();
  const std::vector<std::byte> data(8 * MiB);
  recorder busy;
  busy.begin(*io, pair.ours);
  busy.handle->send(data);
  io.run_for(milliseconds{5});
  CHECK(busy.closed == 0); // the bench goes first; the peer sees the end
  ::close(pair.theirs);
}

} // namespace lance::runtime
