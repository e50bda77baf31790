#include "actors/session.hpp"

#include <algorithm>
#include <deque>
#include <string>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "wire/control.hpp"
#include "wire/error_reply.hpp"

namespace lance::actors {
namespace {

using random_source = wire::test::random_source;
using bytes = std::vector<std::byte>;
using runtime::buffer_pool;
using runtime::buffer_ref;

std::unique_ptr<buffer_pool> pool_of(std::uint32_t count, std::size_t buffer_bytes) {
  return buffer_pool::make({.count = count, .buffer_bytes = buffer_bytes, .huge_pages = false})
      .value();
}

/// The reactor's side of the one connection, driven by the story.
class fake_socket final : public runtime::socket_handle, public runtime::reactor {
 public:
  void resume_receive() override { receiving = true; }
  void pause_receive() override { receiving = false; }
  void send(byte_view data) override {
    REQUIRE(unsent.empty());
    REQUIRE(!data.empty());
    REQUIRE(!closing);
    unsent = data;
  }
  void end_sending() override {
    REQUIRE(unsent.empty());
    said_all = true;
  }
  void close() override { closing = true; }

  void listen(int, runtime::acceptor&) override {}
  void stop_listening(int) override {}
  socket_handle& add(int, runtime::stream& owner) override {
    stream = &owner;
    receiving = closing = said_all = false;
    unsent = {};
    return *this;
  }
  bool turn() override { return false; }
  void wait(std::uint64_t) override {}
  bool ready() const noexcept override { return false; }
  void wake() noexcept override {}
  runtime::uring* ring() noexcept override { return nullptr; }
  std::uint64_t enters() const noexcept override { return 0; }

  runtime::stream* stream = nullptr;
  byte_view unsent;
  bool receiving = false;
  bool closing = false;
  bool said_all = false;
};

struct taken_batch {
  incoming_batch batch;
  bytes payload;
};
struct taken_request {
  wire::command code{};
  bytes payload;
  reply_address from;
};

/// A network actor's worth of host, with every refusal under the story's control.
class bench final : public session_host {
 public:
  explicit bench(std::uint32_t send_buffers = 4, std::uint32_t assembly_buffers = 8)
      : receive(pool_of(64, 65536)), sending(pool_of(send_buffers, 4096)),
        assembly(pool_of(assembly_buffers, 8192)), budget(*assembly, assembly_buffers),
        client(*this, 3, 7, 1 * MiB, budget) {
    client.begin(socket, 99);
  }
  ~bench() {
    if (!client.free()) {
      client.close();
      run();
    }
  }

  // -- session_host
  bool ingest(const incoming_batch& batch, std::span<const byte_view> pieces, buffer_ref& input,
              bool in_place, std::vector<buffer_ref>& gathered) override {
    if (refuse_messages)
      return false;
    if (in_place)
      REQUIRE(input);
    taken_batch taken{batch, {}};
    for (const auto piece : pieces)
      taken.payload.insert(taken.payload.end(), piece.begin(), piece.end());
    gathered.clear();
    batches.push_back(std::move(taken));
    return true;
  }
  bool ingest_compressed(const incoming_batch& batch, std::span<const byte_view>,
                         result<>& refused) override {
    if (refuse_messages)
      return false;
    if (refuse_compressed)
      refused = fail(errc::unsupported);
    else
      batches.push_back({batch, {}});
    return true;
  }
  std::optional<errc> judge_ingest(session&, std::uint32_t topic) override {
    return topic == forbidden_topic ? std::optional{errc::not_authorized} : std::nullopt;
  }
  std::uint64_t quota_wait(session&, const wire::frame_header&,
                           std::span<const byte_view>) override {
    ++quota_asked;
    return quota_wait_ns;
  }
  bool hold_for_quota(session&, std::uint64_t) override {
    ++quota_over;
    return quota_holds;
  }
  bool request(session& from, const wire::frame_header& header,
               std::span<const byte_view> pieces) override {
    if (refuse_messages)
      return false;
    taken_request taken{wire::command_of(header), {}, from.address(from.body_ticket())};
    for (const auto piece : pieces)
      taken.payload.insert(taken.payload.end(), piece.begin(), piece.end());
    requests.push_back(std::move(taken));
    return true;
  }
  buffer_ref send_buffer() override { return sending->take(); }
  void activate(session&) override { active = true; }
  void wants_send_buffer(session&) override { ++hungry_for_send; }
  void wants_memory(session&) override { ++hungry_for_memory; }
  void wants_assembly(session&) override { ++hungry_for_assembly; }
  void replied(reply_kind, std::uint64_t) override { ++replies; }
  void protocol_fault(session&, wire::verdict why) override { faults.push_back(why); }
  void strange_frame(wire::frame_kind) override { ++strange; }
  void ended(session&) override { ++ends; }
  std::uint64_t now_ns() const override { return now; }

  // -- the story's side
  static constexpr std::uint32_t forbidden_topic = 403;
  /// What the reactor and the lane would do until nothing is left.
  void run() {
    for (bool more = true; more;) {
      more = false;
      if (active) {
        active = false;
        client.work();
        more = true;
      }
      if (!socket.unsent.empty() && !stuck && !socket.closing) {
        out.insert(out.end(), socket.unsent.begin(), socket.unsent.end());
        socket.unsent = {};
        client.sent(0);
        more = true;
      }
      if (socket.closing && !client.free()) {
        socket.unsent = {};
        client.stream_closed();
        more = true;
      }
    }
  }
  /// One receive of the socket; false while it is paused.
  bool receive_bytes(byte_view data) {
    if (!socket.receiving || client.free())
      return false;
    auto buffer = receive->take();
    REQUIRE(buffer);
    std::copy(data.begin(), data.end(), buffer.data());
    client.received(std::move(buffer), static_cast<std::uint32_t>(data.size()));
    return true;
  }
  void feed(byte_view data) {
    REQUIRE(receive_bytes(data));
    run();
  }
  void complete(const reply_address& to, bool refused = false, errc why = {}) {
    if (client.open() && client.generation() == to.generation)
      client.complete(to.ticket, refused, why);
  }
  void answer(const taken_request& which, std::string_view text) {
    if (!client.open() || client.generation() != which.from.generation)
      return;
    bytes frame(wire::frame_header_bytes + text.size());
    wire::encode_frame(wire::control_header(wire::command::topic_response), client.kind(),
                       as_bytes(text), frame);
    client.answer(std::move(frame));
  }
  /// What the peer has received, in words: "ack 5", "alive", "reply text", "FF text".
  std::vector<std::string> heard() {
    std::vector<std::string> words;
    wire::frame_cutter cutter{16 * MiB,
                              client.free() ? wire::checksum_kind::iso_hdlc : client.kind()};
    byte_view rest{out};
    while (!rest.empty()) {
      const auto cut = cutter.next(rest);
      REQUIRE(cut.outcome == wire::verdict::ok);
      rest = rest.subspan(cut.consumed);
      switch (wire::classify(cut.header)) {
      case wire::frame_kind::ack:
        words.push_back("ack " + std::to_string(cut.header.batch_id));
        break;
      case wire::frame_kind::keepalive:
        words.push_back("alive");
        break;
      default:
        words.push_back(
            (wire::command_of(cut.header) == wire::command::error_response ? "FF " : "reply ") +
            std::string{as_text(cut.payload)});
      }
    }
    return words;
  }

  std::unique_ptr<buffer_pool> receive;
  std::unique_ptr<buffer_pool> sending;
  std::unique_ptr<buffer_pool> assembly;
  assembly_budget budget;
  fake_socket socket;
  session client;
  bool refuse_messages = false;
  bool refuse_compressed = false;
  bool stuck = false; ///< the peer takes nothing
  bool active = false;
  std::uint64_t now = 1000 * s_in_ns;
  std::vector<taken_batch> batches;
  std::vector<taken_request> requests;
  std::vector<wire::verdict> faults;
  bytes out;
  int hungry_for_send = 0;
  std::uint64_t quota_wait_ns = 0;
  int quota_asked = 0;
  int quota_over = 0;
  bool quota_holds = true;
  int hungry_for_memory = 0;
  int hungry_for_assembly = 0;
  int replies = 0;
  int strange = 0;
  int ends = 0;
};

void add(bytes& to, const wire::frame_header& header, byte_view payload = {}) {
  const auto at = to.size();
  to.resize(at + wire::frame_header_bytes + payload.size());
  wire::encode_frame(header, wire::checksum_kind::iso_hdlc, payload, byte_span{to}.subspan(at));
}
void add_ingest(bytes& to, std::uint64_t id, std::string_view payload) {
  add(to, wire::ingest_header(log_id{5}, id, 1, 2), as_bytes(payload));
}
void add_control(bytes& to, wire::command code, std::string_view payload = {}) {
  add(to, wire::control_header(code), as_bytes(payload));
}

using words = std::vector<std::string>;

} // namespace

TEST_CASE("acknowledgements leave in the order of requests", "[session]") {
  bench it;
  random_source random{"session order"};
  bytes in;
  words expected;
  for (std::uint64_t i = 1; i <= 60; ++i) {
    add_ingest(in, i, "payload " + std::to_string(i));
    expected.push_back("ack " + std::to_string(i));
    if (i % 7 == 0) {
      add(in, wire::keepalive_header());
      expected.push_back("alive");
    }
  }
  for (byte_view rest{in}; !rest.empty();) { // torn anywhere
    const auto size = std::min<std::size_t>(rest.size(), 1 + random.up_to(200));
    it.feed(rest.first(size));
    rest = rest.subspan(size);
  }
  REQUIRE(it.batches.size() == 60);
  for (std::size_t i = 0; i < 60; ++i) {
    CHECK(as_text(it.batches[i].payload) == "payload " + std::to_string(i + 1));
    CHECK(it.batches[i].batch.record_count == 2);
    CHECK(it.batches[i].batch.log == log_id{5});
    CHECK(it.batches[i].batch.from.network == 3);
    CHECK(it.batches[i].batch.from.session == 7);
  }
  CHECK(it.out.empty());
  auto open = it.batches;
  while (!open.empty()) {
    const auto at = random.up_to(open.size() - 1);
    it.complete(open[at].batch.from);
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
    it.run();
  }
  CHECK(it.heard() == expected);
  CHECK(it.replies == static_cast<int>(expected.size()));
  CHECK(it.receive->lent() == 0);
  CHECK(it.sending->lent() == 0);
}

TEST_CASE("a request waits for what came before, and holds back what follows", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  add_ingest(in, 2, "b");
  add_control(in, wire::command::list_topics, "first");
  add_ingest(in, 3, "c");
  add_control(in, wire::command::get_topic, "second");
  add(in, wire::keepalive_header());
  it.feed(in);
  CHECK(it.batches.size() == 2);
  CHECK(it.requests.empty());
  it.complete(it.batches[1].batch.from);
  it.run();
  CHECK(it.requests.empty());
  it.complete(it.batches[0].batch.from);
  it.run();
  REQUIRE(it.requests.size() == 1);
  CHECK(it.requests[0].code == wire::command::list_topics);
  CHECK(as_text(it.requests[0].payload) == "first");
  CHECK(it.batches.size() == 2); // the third may depend on the answer
  it.answer(it.requests[0], "one");
  it.run();
  REQUIRE(it.batches.size() == 3);
  CHECK(it.requests.size() == 1);
  it.complete(it.batches[2].batch.from);
  it.run();
  REQUIRE(it.requests.size() == 2);
  CHECK(it.heard() == words{"ack 1", "ack 2", "reply one", "ack 3"});
  it.answer(it.requests[1], "two");
  it.run();
  CHECK(it.heard() == words{"ack 1", "ack 2", "reply one", "ack 3", "reply two", "alive"});
}

TEST_CASE("what waits behind a request in work holds no receive buffer", "[session]") {
  bench it;
  bytes first;
  add_control(first, wire::command::fetch_batches, "slow");
  add_ingest(first, 1, "one");
  bytes second;
  add_control(second, wire::command::get_topic, "two");
  add_ingest(second, 2, std::string(500, 'b'));
  it.feed(byte_view{first}.first(first.size() - 1)); // its last byte comes later
  REQUIRE(it.requests.size() == 1);
  CHECK(it.receive->lent() == 0);
  second.insert(second.begin(), first.back());
  it.feed(second);
  CHECK(it.receive->lent() == 0);

  bytes large;
  add_ingest(large, 3, std::string(small_frame_bytes, 'c'));
  const bool also_large = GENERATE(false, true);
  CAPTURE(also_large);
  if (also_large) { // more than a connection keeps for itself
    it.feed(large);
    CHECK(it.receive->lent() == 1);
  }
  it.answer(it.requests[0], "read");
  it.run();
  REQUIRE(it.batches.size() == 1);
  CHECK(as_text(it.batches[0].payload) == "one");
  it.complete(it.batches[0].batch.from);
  it.run();
  REQUIRE(it.requests.size() == 2);
  CHECK(as_text(it.requests[1].payload) == "two");
  it.answer(it.requests[1], "told");
  it.run();
  REQUIRE(it.batches.size() == (also_large ? 3 : 2));
  CHECK(as_text(it.batches[1].payload) == std::string(500, 'b'));
  for (std::size_t i = 1; i < it.batches.size(); ++i)
    it.complete(it.batches[i].batch.from);
  it.run();
  words expected{"reply read", "ack 1", "reply told", "ack 2"};
  if (also_large)
    expected.push_back("ack 3");
  CHECK(it.heard() == expected);
  CHECK(it.receive->lent() == 0);
}

TEST_CASE("refusals are sentences, in order", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  add_ingest(in, 2, "b");
  auto compressed = wire::ingest_header(log_id{5}, 3, 1, 1);
  compressed.flags |= wire::flag::compressed;
  add(in, compressed, as_bytes("what no decoder knows"));
  add(in, wire::ingest_header(log_id{5}, 4, 1, 1)); // nothing in it: batch mode, no payload
  it.refuse_compressed = true;
  it.feed(in);
  REQUIRE(it.batches.size() == 2);
  it.complete(it.batches[1].batch.from);
  it.complete(it.batches[0].batch.from, true, errc::topic_not_found);
  it.run();
  CHECK(it.heard() == words{"FF TOPIC_NOT_FOUND: Topic not found (topic 5)", "ack 2",
                            "FF UNSUPPORTED: " + refusal_sentence(errc::unsupported, 5), "ack 4"});
  bytes more;
  add_control(more, wire::command::fetch, "x");
  it.feed(more);
  REQUIRE(it.requests.size() == 1);
  it.client.refuse(errc::invalid_request, "no");
  it.run();
  CHECK(it.heard().back() == "FF INVALID_REQUEST: no");
}

TEST_CASE("who is over quota waits unread, and is counted once", "[session]") {
  bench it;
  it.quota_wait_ns = 5 * s_in_ns;
  bytes in;
  add_ingest(in, 1, "a");
  add_ingest(in, 2, "b");
  it.feed(in);
  CHECK(it.batches.empty());
  CHECK(it.quota_over == 1);
  it.client.work(); // too early
  CHECK(it.quota_over == 2);
  CHECK(it.batches.empty());
  it.quota_wait_ns = 0;
  it.refuse_messages = true; // within quota now, but something else is missing
  const auto asked = it.quota_asked;
  it.client.work();
  CHECK(it.quota_asked == asked + 1);
  it.refuse_messages = false;
  it.client.work();
  REQUIRE(it.batches.size() == 2);
  CHECK(it.quota_asked == asked + 2); // once for each batch
  for (const auto& each : it.batches)
    it.complete(each.batch.from);
  it.run();
  CHECK(it.heard() == words{"ack 1", "ack 2"});
}

TEST_CASE("who would wait too long is told how long, in its place", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  it.feed(in);
  it.quota_holds = false;
  it.quota_wait_ns = 12'345 * ms_in_ns;
  in.clear();
  add_ingest(in, 2, "b");
  it.feed(in);
  REQUIRE(it.batches.size() == 1);
  it.complete(it.batches[0].batch.from);
  it.run();
  in.clear();
  add_control(in, wire::command::fetch, "x");
  it.feed(in);
  CHECK(it.requests.empty());
  it.quota_wait_ns = 0;
  in.clear();
  add_control(in, wire::command::fetch, "y");
  it.feed(in);
  CHECK(it.requests.size() == 1);
  const auto said = "FF THROTTLED: " + quota_sentence(12'345);
  CHECK(it.heard() == words{"ack 1", said, said});
  CHECK(wire::retry_after_ms(said) == 12'345);
}

TEST_CASE("batches that may not come in are refused in their places", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "first");
  add(in, wire::ingest_header(log_id{bench::forbidden_topic}, 2, 1, 2),
      as_bytes(std::string_view{"no"}));
  add_ingest(in, 3, "third");
  it.feed(in);
  REQUIRE(it.batches.size() == 2);
  it.complete(it.batches[1].batch.from);
  it.complete(it.batches[0].batch.from);
  it.run();
  const auto heard = it.heard();
  REQUIRE(heard.size() == 3);
  CHECK(heard[0] == "ack 1");
  CHECK(heard[1].starts_with("FF NOT_AUTHORIZED: "));
  CHECK(heard[2] == "ack 3");

  it.client.set_payload_limit(10); // as for a stranger
  bytes longer;
  add_ingest(longer, 4, "0123456789");
  add_ingest(longer, 5, "0123456789a");
  it.feed(longer);
  CHECK(it.batches.size() == 3);
  CHECK(it.socket.closing);
}

TEST_CASE("replies wait for a send buffer and lose nothing", "[session]") {
  bench it{1};
  auto elsewhere = it.sending->take();
  bytes in;
  for (std::uint64_t i = 1; i <= 300; ++i) // more than one send buffer holds
    add_ingest(in, i, "x");
  it.feed(in);
  words expected;
  for (const auto& each : it.batches) {
    it.complete(each.batch.from);
    expected.push_back("ack " + std::to_string(expected.size() + 1));
  }
  it.run();
  CHECK(it.out.empty());
  CHECK(it.hungry_for_send > 0);
  elsewhere.reset();
  it.active = true; // as the host does when the pool has something again
  it.run();
  CHECK(it.heard() == expected);
  CHECK(it.sending->lent() == 0);
}

TEST_CASE("without credit a connection is not read", "[session]") {
  bench it;
  bytes in;
  constexpr std::uint64_t each = 1000;
  std::uint64_t id = 0;
  std::vector<bytes> parts;
  for (int part = 0; part < 10; ++part) {
    in.clear();
    for (std::uint64_t i = 0; i < each; ++i)
      add_ingest(in, ++id, "x");
    parts.push_back(in);
  }
  std::size_t given = 0;
  const auto give = [&] {
    while (given < parts.size() && it.receive_bytes(parts[given])) {
      ++given;
      it.run();
    }
  };
  give();
  CHECK(it.batches.size() == replies_outstanding_max);
  CHECK_FALSE(it.socket.receiving);
  const auto at_bound = given;
  CHECK(at_bound <= replies_outstanding_max / each + inputs_waiting_max + 2);
  CHECK(it.receive->lent() <= inputs_waiting_max + 2);
  std::size_t completed = 0;
  while (completed < it.batches.size()) {
    it.complete(it.batches[completed++].batch.from);
    if (completed % 100 == 0 || completed == it.batches.size()) {
      it.run();
      give();
    }
    REQUIRE(it.batches.size() - completed <= replies_outstanding_max);
  }
  CHECK(given == parts.size());
  const auto heard = it.heard();
  REQUIRE(heard.size() == 10 * each);
  for (std::uint64_t i = 0; i < heard.size(); ++i)
    REQUIRE(heard[i] == "ack " + std::to_string(i + 1));
  CHECK(it.receive->lent() == 0);
}

TEST_CASE("what finds no message is handed on later, once", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "one");
  add_ingest(in, 2, std::string(6000, 'y'));
  add_control(in, wire::command::list_topics);
  it.refuse_messages = true;
  it.feed(byte_view{in}.first(60)); // the first is whole, the second torn
  CHECK(it.hungry_for_memory == 1);
  it.feed(byte_view{in}.subspan(60));
  for (int i = 0; i < 3; ++i) {
    it.active = true;
    it.run();
  }
  CHECK(it.batches.empty());
  it.refuse_messages = false;
  it.active = true;
  it.run();
  REQUIRE(it.batches.size() == 2);
  CHECK(as_text(it.batches[0].payload) == "one");
  CHECK(as_text(it.batches[1].payload) == std::string(6000, 'y'));
  it.refuse_messages = true;
  it.complete(it.batches[0].batch.from);
  it.complete(it.batches[1].batch.from);
  it.run();
  CHECK(it.requests.empty());
  it.refuse_messages = false;
  it.active = true;
  it.run();
  REQUIRE(it.requests.size() == 1);
  it.answer(it.requests[0], "done");
  it.run();
  CHECK(it.heard() == words{"ack 1", "ack 2", "reply done"});
  CHECK(it.budget.left() == 8);
}

TEST_CASE("a silent connection holds no room for torn frames", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, std::string(60'000, 'z'));
  it.feed(byte_view{in}.first(30'000));
  CHECK(it.budget.left() == 0); // eight buffers, reserved as a whole
  it.feed(byte_view{in}.subspan(30'000));
  REQUIRE(it.batches.size() == 1);
  CHECK(it.budget.left() == 8); // while its acknowledgement is still on its way
  CHECK(it.assembly->lent() == 0);
}

TEST_CASE("a torn frame waits for room while nothing is read", "[session]") {
  bench it;
  REQUIRE(it.budget.reserve(4));
  bytes in;
  add_ingest(in, 1, std::string(60'000, 'z'));
  it.feed(byte_view{in}.first(30'000));
  CHECK(it.hungry_for_assembly == 1);
  it.feed(byte_view{in}.subspan(30'000, 10'000));
  it.feed(byte_view{in}.subspan(40'000, 10'000));
  CHECK_FALSE(it.socket.receiving);
  it.budget.release(4);
  it.active = true;
  it.run();
  CHECK(it.socket.receiving);
  it.feed(byte_view{in}.subspan(50'000));
  REQUIRE(it.batches.size() == 1);
  CHECK(as_text(it.batches[0].payload) == std::string(60'000, 'z'));
}

TEST_CASE("a half closed peer gets all its replies", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  add_control(in, wire::command::list_topics);
  add_ingest(in, 2, "b");
  it.feed(in);
  it.client.receive_ended(0);
  it.run();
  CHECK(it.ends == 0);
  it.complete(it.batches[0].batch.from);
  it.run();
  REQUIRE(it.requests.size() == 1);
  it.answer(it.requests[0], "topics");
  it.run();
  REQUIRE(it.batches.size() == 2);
  CHECK(it.ends == 0);
  it.stuck = true;
  it.complete(it.batches[1].batch.from);
  it.run();
  CHECK(it.ends == 0); // the last reply has not left yet
  it.stuck = false;
  it.run();
  CHECK(it.ends == 1);
  CHECK(it.client.free());
  CHECK(it.heard() == words{"ack 1", "reply topics", "ack 2"});
}

TEST_CASE("a peer that is gone leaves nothing behind", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  add_ingest(in, 2, std::string(20'000, 'q'));
  it.feed(byte_view{in}.first(in.size() - 5));
  REQUIRE(it.batches.size() == 1);
  SECTION("reset") {
    it.client.receive_ended(-ECONNRESET);
  }
  SECTION("half closed within a frame") {
    it.client.receive_ended(0);
    it.complete(it.batches[0].batch.from);
  }
  SECTION("while replies are on their way") {
    it.stuck = true;
    it.complete(it.batches[0].batch.from);
    it.run();
    REQUIRE_FALSE(it.socket.unsent.empty());
    it.socket.unsent = {};
    it.client.sent(-EPIPE);
  }
  SECTION("closed by the host") {
    it.client.close();
  }
  it.run();
  CHECK(it.ends == 1);
  CHECK(it.client.free());
  CHECK(it.receive->lent() == 0);
  CHECK(it.sending->lent() == 0);
  CHECK(it.assembly->lent() == 0);
  CHECK(it.budget.left() == 8);
}

TEST_CASE("draining answers what was received and takes no more", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  add_control(in, wire::command::list_topics);
  add_ingest(in, 2, "b");
  it.feed(in);
  it.client.drain();
  it.run();
  CHECK_FALSE(it.socket.receiving);
  CHECK(it.ends == 0);
  it.complete(it.batches[0].batch.from);
  it.run();
  CHECK_FALSE(it.socket.receiving);
  it.answer(it.requests.at(0), "topics");
  it.run();
  REQUIRE(it.batches.size() == 2);
  it.complete(it.batches[1].batch.from);
  it.run();
  CHECK(it.heard() == words{"ack 1", "reply topics", "ack 2"});
  CHECK(it.socket.said_all);
  CHECK(it.ends == 0); // closing now might take back what the peer has not read yet

  SECTION("what the peer still sends is thrown away until it has understood") {
    in.clear();
    add_ingest(in, 3, "too late");
    it.feed(in);
    CHECK(it.batches.size() == 2);
    CHECK(it.receive->lent() == 0);
    it.client.receive_ended(0);
    it.run();
    CHECK(it.ends == 1);
  }
  SECTION("or for a while") {
    CHECK_FALSE(it.client.sweep(it.now + farewell_ns, 0, {}));
    it.run();
    CHECK(it.ends == 0);
    CHECK_FALSE(it.client.sweep(it.now + farewell_ns + 1, 0, {})); // no fault of its own
    it.run();
    CHECK(it.ends == 1);
  }
  SECTION("who has closed already is let go at once") {
    it.client.close();
    it.run();
    REQUIRE(it.ends == 1);
    it.client.begin(it.socket, 100);
    it.client.receive_ended(0);
    it.client.drain();
    it.run();
    CHECK(it.ends == 2);
    CHECK_FALSE(it.socket.said_all);
  }
}

TEST_CASE("broken framing ends a connection without a word", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  add_ingest(in, 2, "b");
  in.back() ^= std::byte{1};
  it.feed(in);
  CHECK(it.faults == std::vector<wire::verdict>{wire::verdict::bad_payload_crc});
  CHECK(it.ends == 1);
  CHECK(it.batches.size() == 1);
  it.complete(it.batches[0].batch.from); // too late
  it.run();
  CHECK(it.out.empty());
}

TEST_CASE("answers to an earlier connection reach nobody", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, "a");
  it.feed(in);
  bytes ask;
  add_control(ask, wire::command::list_topics);
  const auto old = it.batches.at(0).batch.from;
  it.client.close();
  it.run();
  REQUIRE(it.ends == 1);
  it.client.begin(it.socket, 100);
  CHECK(it.client.generation() != old.generation);
  in.clear();
  add_ingest(in, 50, "new");
  it.feed(in);
  const auto fresh = it.batches.at(1).batch.from;
  CHECK(fresh.ticket == old.ticket);
  it.complete(old); // the host compares generations
  it.run();
  CHECK(it.out.empty());
  it.complete(fresh);
  it.run();
  CHECK(it.heard() == words{"ack 50"});
}

TEST_CASE("who holds the server up is swept away", "[session]") {
  bench it;
  bytes in;
  add_ingest(in, 1, std::string(60'000, 'x'));
  const auto swept = [&](std::uint64_t after, std::uint64_t idle_limit, bool assembly,
                         bool readers = false) {
    const bool ended = it.client.sweep(it.now + after, idle_limit, {assembly, readers});
    it.run();
    CHECK(it.ends == (ended ? 1 : 0));
    return ended;
  };
  SECTION("a frame left half sent") {
    it.feed(byte_view{in}.first(30'000));
    CHECK_FALSE(swept(stalled_peer_ns, 0, false));
    CHECK(swept(stalled_peer_ns + 1, 0, false));
    CHECK(it.budget.left() == 8);
  }
  SECTION("sooner when others wait for its room") {
    it.feed(byte_view{in}.first(30'000));
    CHECK_FALSE(swept(contended_peer_ns, 0, true));
    CHECK(swept(contended_peer_ns + 1, 0, true));
  }
  SECTION("but not when it is we who wait for room") {
    REQUIRE(it.budget.reserve(8));
    it.feed(byte_view{in}.first(30'000));
    CHECK_FALSE(swept(stalled_peer_ns * 10, 0, true));
    it.budget.release(8);
  }
  SECTION("replies that nobody takes") {
    it.feed(in);
    it.stuck = true;
    it.complete(it.batches.at(0).batch.from);
    it.run();
    CHECK_FALSE(swept(stalled_peer_ns, 0, false));
    CHECK_FALSE(swept(stalled_peer_ns, 0, true, true)); // nobody wants these
    CHECK(swept(stalled_peer_ns + 1, 0, false));
  }
  SECTION("a reader who takes nothing, sooner when others wait for his buffers") {
    auto data = pool_of(1, 8192);
    runtime::message_pool<read_reply> replies{1};
    bytes ask;
    add_control(ask, wire::command::fetch, "anything");
    it.feed(ask);
    it.stuck = true;
    auto reply = replies.take();
    reply->to = it.requests.at(0).from;
    reply->buffers.push_back(data->take());
    reply->sizes.push_back(1000);
    it.client.answer(std::move(reply));
    it.run();
    CHECK_FALSE(swept(contended_reader_ns + 1, 0, true));
    CHECK_FALSE(swept(contended_reader_ns, 0, false, true));
    CHECK(swept(contended_reader_ns + 1, 0, false, true));
    CHECK(data->lent() == 0);
  }
  SECTION("silence, if a limit is set") {
    it.feed(in);
    CHECK_FALSE(swept(100 * s_in_ns, 0, false));
    CHECK_FALSE(swept(100 * s_in_ns, 50 * s_in_ns, false)); // it waits for us
    it.complete(it.batches.at(0).batch.from);
    it.run();
    CHECK_FALSE(swept(50 * s_in_ns, 50 * s_in_ns, false));
    CHECK(swept(50 * s_in_ns + 1, 50 * s_in_ns, false));
  }
}

TEST_CASE("bytes read from a log leave behind their head", "[session]") {
  bench it;
  const std::size_t parts = GENERATE(0, 1, 3);
  CAPTURE(parts);
  random_source random{"session read"};
  auto data = pool_of(4, 8192);
  runtime::message_pool<read_reply> replies{1};
  bytes in;
  add_control(in, wire::command::fetch, "anything");
  add(in, wire::keepalive_header());
  it.feed(in);
  REQUIRE(it.requests.size() == 1);
  bytes expected;
  {
    auto reply = replies.take();
    REQUIRE(reply);
    reply->to = it.requests[0].from;
    reply->kind = read_kind::bytes;
    reply->next = byte_offset{12'345};
    for (std::size_t i = 0; i < parts; ++i) {
      const auto room = data->buffer_bytes() - (i == 0 ? reply_headroom : 0);
      const auto size = i + 1 == parts ? 1 + random.up_to(room - 1) : room;
      const auto content = random.bytes(size);
      auto buffer = data->take();
      std::copy(content.begin(), content.end(), buffer.data() + (i == 0 ? reply_headroom : 0));
      expected.insert(expected.end(), content.begin(), content.end());
      reply->buffers.push_back(std::move(buffer));
      reply->sizes.push_back(static_cast<std::uint32_t>(size));
    }
    it.client.answer(std::move(reply));
  }
  it.run();
  wire::frame_cutter cutter{16 * MiB};
  const auto cut = cutter.next(it.out);
  REQUIRE(cut.outcome == wire::verdict::ok);
  CHECK(wire::command_of(cut.header) == wire::command::fetch_response);
  REQUIRE(cut.payload.size() >= expected.size());
  const auto tail = cut.payload.last(expected.size());
  CHECK(std::equal(tail.begin(), tail.end(), expected.begin()));
  CHECK(load_le<std::uint64_t>(cut.payload.data()) == 12'345);
  const auto next = cutter.next(byte_view{it.out}.subspan(cut.consumed));
  CHECK(wire::classify(next.header) == wire::frame_kind::keepalive);
  CHECK(data->lent() == 0);
  CHECK(replies.take()); // the message is back as well
}

TEST_CASE("random traffic is answered in order whatever happens", "[session]") {
  random_source random{"session traffic"};
  for (int round = 0; round < 30; ++round) {
    bench it{2, 8};
    bytes in;
    words expected;
    for (std::uint64_t i = 1; i <= 200; ++i) {
      const auto deed = random.up_to(9);
      if (deed == 0) {
        add(in, wire::keepalive_header());
        expected.push_back("alive");
      } else if (deed == 1) {
        add_control(in, wire::command::list_topics, std::to_string(i));
        expected.push_back("reply " + std::to_string(i));
      } else {
        add_ingest(in, i, std::string(1 + random.up_to(deed == 2 ? 40'000 : 100), 'd'));
        expected.push_back("ack " + std::to_string(i));
      }
    }
    byte_view rest{in};
    std::vector<reply_address> open;
    std::size_t seen_batches = 0;
    std::size_t seen_requests = 0;
    std::vector<buffer_ref> hoard;
    for (int step = 0; it.heard().size() < expected.size(); ++step) {
      REQUIRE(step < 100'000);
      it.refuse_messages = random.up_to(3) == 0;
      it.stuck = random.up_to(3) == 0;
      hoard.clear();
      if (random.up_to(4) == 0)
        while (auto buffer = it.sending->take())
          hoard.push_back(std::move(buffer));
      const auto size = std::min<std::size_t>(rest.size(), 1 + random.up_to(30'000));
      if (size > 0 && it.receive_bytes(rest.first(size)))
        rest = rest.subspan(size);
      it.active = true;
      it.run();
      while (seen_batches < it.batches.size())
        open.push_back(it.batches[seen_batches++].batch.from);
      for (auto answers = random.up_to(20); answers > 0 && !open.empty(); --answers) {
        const auto at = random.up_to(open.size() - 1);
        it.complete(open[at]);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
      }
      if (seen_requests < it.requests.size() && random.up_to(1) == 0) {
        const auto& request = it.requests[seen_requests++];
        it.answer(request, as_text(request.payload));
      }
    }
    hoard.clear();
    REQUIRE(it.heard() == expected);
    CHECK(it.faults.empty());
    CHECK(it.budget.left() == 8);
    CHECK(it.receive->lent() == 0);
  }
}

} // namespace lance::actors
