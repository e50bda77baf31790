#include "actors/system.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/types.hpp"
#include "tests/runtime/allocations.hpp"
#include "tests/wire/random.hpp"
#include "wire/batch_commands.hpp"
#include "wire/control.hpp"
#include "wire/frame.hpp"

namespace lance::actors {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;
using bytes = std::vector<std::byte>;

/// A data directory that goes with its scope.
struct scratch {
  scratch() {
    char name[] = "/tmp/lance-system-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

std::unique_ptr<server> start(const scratch& home, const std::string& backend) {
  const auto loaded = config::load_text("[node]\ndata_dir = \"" + home.path +
                                            "\"\n[network]\nbind = \"127.0.0.1:0\"\n"
                                            "[http]\nbind = \"127.0.0.1:0\"\n"
                                            "[metrics]\nbind = \"127.0.0.1:0\"\n"
                                            "[io]\nbackend = \"" +
                                            backend + "\"\n",
                                        "test");
  for (const auto& error : loaded.errors)
    FAIL(error);
  std::string explanation;
  auto made = server::start(loaded, explanation);
  INFO(explanation);
  REQUIRE(made.has_value());
  return std::move(*made);
}

/// A client that says exactly what the story wants said.
class peer {
 public:
  explicit peer(const server& to) {
    const auto& where = to.addresses().lwp;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1))));
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const timeval limit{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  peer(peer&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  ~peer() {
    if (socket_ >= 0)
      ::close(socket_);
  }
  void say(const wire::frame_header& header, byte_view payload) {
    bytes frame(wire::frame_header_bytes + payload.size());
    wire::encode_frame(header, wire::checksum_kind::iso_hdlc, payload, frame);
    byte_view rest{frame};
    while (!rest.empty()) {
      const auto size = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (size <= 0)
        return;
      rest = rest.subspan(static_cast<std::size_t>(size));
    }
  }
  void ingest(std::uint64_t id, byte_view payload) {
    say(wire::ingest_header(log_id{0}, id, 1, 1), payload);
  }
  /// The next frame, or nothing when the connection has ended.
  bool hear(wire::frame_header& header, bytes& payload) {
    bytes head(wire::frame_header_bytes);
    if (!read(head))
      return false;
    const auto judged = wire::judge_header(head, wire::checksum_kind::iso_hdlc, 64 * MiB);
    REQUIRE(judged.outcome == wire::verdict::ok);
    header = judged.header;
    payload.resize(header.payload_length);
    if (!payload.empty() && !read(payload))
      return false;
    CHECK(wire::payload_ok(header, wire::checksum_kind::iso_hdlc, payload));
    return true;
  }
  /// The id of the next acknowledgement; 0 when there is none.
  std::uint64_t hear_ack() {
    wire::frame_header header;
    bytes payload;
    if (!hear(header, payload) || wire::classify(header) != wire::frame_kind::ack)
      return 0;
    return header.batch_id;
  }
  /// Bytes as they are, and so many of the answer: nothing is looked at, nothing allocated.
  [[nodiscard]] bool exchange(byte_view out, byte_span in) {
    for (std::size_t sent = 0; sent < out.size();) {
      const auto size = ::send(socket_, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
      if (size <= 0)
        return false;
      sent += static_cast<std::size_t>(size);
    }
    return read(in);
  }
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(std::exchange(socket_, -1));
  }

 private:
  bool read(byte_span into) {
    for (std::size_t have = 0; have < into.size();) {
      const auto size = ::recv(socket_, into.data() + have, into.size() - have, 0);
      if (size <= 0)
        return false;
      have += static_cast<std::size_t>(size);
    }
    return true;
  }
  int socket_ = -1;
};

void ask_for_batches(peer& from, byte_offset start, std::uint32_t max_wait_ms) {
  const auto request =
      wire::encode(wire::fetch_batches_request{.log = log_id{0},
                                               .start = start,
                                               .max_bytes = 1 * MiB,
                                               .max_wait_ms = max_wait_ms,
                                               .min_bytes = max_wait_ms > 0 ? 1U : 0U});
  from.say(wire::control_header(wire::command::fetch_batches), request);
}

/// All payload bytes of log 0, read batch by batch.
bytes read_all(const server& from) {
  peer reader{from};
  bytes all;
  for (byte_offset at{};;) {
    ask_for_batches(reader, at, 0);
    wire::frame_header header;
    bytes payload;
    REQUIRE(reader.hear(header, payload));
    REQUIRE(wire::command_of(header) == wire::command::batches_reply);
    REQUIRE(payload.size() >= wire::batches_head_bytes);
    const auto next = byte_offset{load_le<std::uint64_t>(payload.data())};
    if (next == at)
      return all;
    const auto data = next.value - at.value;
    REQUIRE(payload.size() >= data);
    all.insert(all.end(), payload.end() - static_cast<std::ptrdiff_t>(data), payload.end());
    at = next;
  }
}

} // namespace

TEST_CASE("what was acknowledged is there after a drain and after an abrupt end", "[system][caf]") {
  const std::string backend = GENERATE("auto", "pwritev");
  const bool orderly = GENERATE(true, false);
  CAPTURE(backend, orderly);
  wire::test::random_source random{"system acknowledged"};
  const scratch home;
  bytes expected;
  {
    auto node = start(home, backend);
    peer producer{*node};
    constexpr std::uint64_t count = 200;
    for (std::uint64_t id = 1; id <= count; ++id) {
      const auto payload = random.bytes(1 + random.up_to(id % 50 == 0 ? 700'000 : 3000));
      expected.insert(expected.end(), payload.begin(), payload.end());
      producer.ingest(id, payload);
    }
    for (std::uint64_t id = 1; id <= count; ++id)
      REQUIRE(producer.hear_ack() == id);
    CHECK(read_all(*node) == expected);
    if (orderly)
      CHECK(node->drain(10'000));
  }
  auto node = start(home, backend);
  CHECK(read_all(*node) == expected);
  CHECK(node->drain(10'000));
}

TEST_CASE("a drain does not wait for readers who wait", "[system][caf]") {
  const std::string backend = GENERATE("auto", "pwritev");
  CAPTURE(backend);
  const scratch home;
  auto node = start(home, backend);
  std::vector<peer> readers;
  for (int i = 0; i < 5; ++i) {
    readers.emplace_back(*node);
    ask_for_batches(readers.back(), byte_offset{}, 19'000);
  }
  std::this_thread::sleep_for(milliseconds{100});
  const auto began = steady::now();
  CHECK(node->drain(15'000));
  CHECK(steady::now() - began < milliseconds{8'000});
  for (auto& each : readers) {
    wire::frame_header header;
    bytes payload;
    REQUIRE(each.hear(header, payload));
    CHECK(wire::command_of(header) == wire::command::batches_reply);
    CHECK_FALSE(each.hear(header, payload));
  }
}

TEST_CASE("clients that leave with everything under way do not hurt a drain", "[system][caf]") {
  const std::string backend = GENERATE("auto", "pwritev");
  CAPTURE(backend);
  for (int round = 0; round < 5; ++round) {
    const scratch home;
    auto node = start(home, backend);
    const bytes payload(100'000, std::byte{7});
    std::vector<peer> peers;
    for (int i = 0; i < 8; ++i) {
      peers.emplace_back(*node);
      for (std::uint64_t id = 1; id <= 5; ++id)
        peers.back().ingest(id, payload);
      peers.back().say(wire::control_header(wire::command::create_topic),
                       as_bytes("topic-" + std::to_string(i)));
      ask_for_batches(peers.back(), byte_offset{}, 0);
    }
    std::this_thread::sleep_for(milliseconds{round});
    for (auto& each : peers)
      each.reset();
    if (round % 2 == 0)
      CHECK(node->drain(10'000));
  }
}

TEST_CASE("neither keeping nor reading a record allocates", "[system][caf]") {
  if (!runtime::test::allocations_are_counted) {
    WARN("a sanitizer has the allocator here: nothing is counted");
    return;
  }
  const scratch home;
  const auto node = start(home, GENERATE(as<std::string>{}, "auto", "pwritev"));
  peer client{*node};
  constexpr std::size_t window = 64;
  constexpr std::size_t batch_bytes = 4 * KiB;
  constexpr std::size_t records = 4; // per batch
  const bytes payload(batch_bytes, std::byte{'r'});
  bytes frames;
  for (std::uint64_t id = 1; id <= window; ++id) {
    const auto at = frames.size();
    frames.resize(at + wire::frame_header_bytes + payload.size());
    wire::encode_frame(wire::ingest_header(log_id{0}, id, 1, records),
                       wire::checksum_kind::iso_hdlc, payload, byte_span{frames}.subspan(at));
  }
  bytes acks(window * wire::frame_header_bytes);
  const auto produce = [&](std::size_t turns) {
    for (std::size_t i = 0; i < turns; ++i)
      REQUIRE(client.exchange(frames, acks));
  };
  constexpr std::uint32_t fetch_bytes = 64 * KiB;
  bytes ask(wire::frame_header_bytes + 16);
  wire::encode_frame(wire::control_header(wire::command::fetch), wire::checksum_kind::iso_hdlc,
                     wire::encode(wire::fetch_request{log_id{0}, byte_offset{0}, fetch_bytes}),
                     ask);
  bytes data(wire::frame_header_bytes + wire::fetch_head_bytes + fetch_bytes);
  const auto consume = [&](std::size_t turns) {
    for (std::size_t i = 0; i < turns; ++i)
      REQUIRE(client.exchange(ask, data));
  };
  produce(100); // everything has its size now
  consume(100);

  constexpr std::size_t turns = 400;
  const runtime::test::allocation_count count;
  produce(turns);
  const auto keeping = count.elsewhere();
  consume(turns);
  const auto reading = count.elsewhere() - keeping;
  std::printf("allocations: %llu for %zu records kept in %zu batches, %llu for %zu fetches\n",
              static_cast<unsigned long long>(keeping), turns * window * records, turns * window,
              static_cast<unsigned long long>(reading), turns);
  CHECK(keeping < turns); // a wake-up has 64 batches here, give or take
  CHECK(reading < turns);
  CHECK(node->drain(10'000));
}

TEST_CASE("a group that lingers is written when its time has come", "[system][caf]") {
  const scratch home;
  const auto loaded = config::load_text("[node]\ndata_dir = \"" + home.path +
                                            "\"\n[network]\nbind = \"127.0.0.1:0\"\n"
                                            "[http]\nbind = \"127.0.0.1:0\"\n"
                                            "[metrics]\nbind = \"127.0.0.1:0\"\n"
                                            "[io]\nlinger_us = 2000\n",
                                        "test");
  std::string explanation;
  auto node = server::start(loaded, explanation);
  REQUIRE(node.has_value());
  peer producer{**node};
  std::vector<std::int64_t> took;
  for (std::uint64_t id = 1; id <= 21; ++id) {
    const auto began = steady::now();
    producer.ingest(id, as_bytes("alone"));
    REQUIRE(producer.hear_ack() == id);
    took.push_back(std::chrono::duration_cast<milliseconds>(steady::now() - began).count());
  }
  std::sort(took.begin(), took.end());
  CHECK(took[10] < 25); // half of what the log's own tick would make of it
  CHECK((*node)->drain(10'000));
}

} // namespace lance::actors
