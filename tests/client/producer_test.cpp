#include "client/producer.hpp"

#include <set>

#include <catch2/catch.hpp>

#include "tests/client/fake_server.hpp"
#include "wire/compress.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::testing;

namespace {

// The story's server: topic "t" is log 9. Ingest frames are noted and given to the script.
class ingest_server {
 public:
  using deed = std::function<bool(peer& from, const seen_frame& frame, int connection)>;

  explicit ingest_server(deed on_ingest)
      : on_ingest_(std::move(on_ingest)), server_([this](peer& from, int number) {
          while (const auto seen = from.read()) {
            wire::topic_info topic;
            topic.id = topic_id{9};
            topic.name = "t";
            if (answer_topics(from, *seen, {topic}))
              continue;
            {
              const std::lock_guard guard{lock_};
              frames_.push_back(*seen);
            }
            if (!on_ingest_(from, *seen, number))
              return;
          }
        }) {}

  [[nodiscard]] producer_options options() const {
    producer_options to_here;
    to_here.connection = server_.options();
    to_here.linger = std::chrono::milliseconds{1};
    return to_here;
  }
  std::vector<seen_frame> frames() {
    const std::lock_guard guard{lock_};
    return frames_;
  }
  // All the values of the frames, in order.
  std::vector<std::string> values() {
    std::vector<std::string> all;
    for (const auto& frame : frames()) {
      wire::tlv_reader reader{frame.payload};
      while (const auto found = reader.next())
        all.emplace_back(as_text(found->value));
    }
    return all;
  }
  [[nodiscard]] const fake_server& server() const { return server_; }

 private:
  deed on_ingest_;
  std::mutex lock_;
  std::vector<seen_frame> frames_;
  fake_server server_;
};

bool always_ack(peer& from, const seen_frame& frame, int) {
  from.ack(frame);
  return true;
}

outcome<> send(producer& to, std::string_view value, delivery_callback callback = {}) {
  return to.send({"t", as_bytes(value)}, std::move(callback));
}

std::vector<std::string> numbered(int count) {
  std::vector<std::string> all;
  for (int n = 0; n < count; ++n)
    all.push_back("record " + std::to_string(n));
  return all;
}

// Waits until it holds, for ten seconds at most.
template <class Condition>
bool eventually(Condition condition) {
  for (const auto until = soon(); !until.passed();) {
    if (condition())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return false;
}

} // namespace

TEST_CASE("records arrive framed, counted, in order, in batches of the right log") {
  ingest_server server{always_ack};
  auto options = server.options();
  options.batch_bytes = 100;
  producer to{options};
  const auto sent = numbered(500);
  for (const auto& value : sent)
    REQUIRE(send(to, value));
  REQUIRE(to.flush(soon()));
  CHECK(server.values() == sent);
  std::uint64_t records = 0;
  std::uint64_t id = 0;
  for (const auto& frame : server.frames()) {
    CHECK(frame.header.topic_id == 9);
    CHECK(frame.header.batch_id == ++id);
    CHECK(frame.header.timestamp_ns != 0);
    CHECK(frame.payload.size() <= 100);
    CHECK(count_records(frame.payload) == frame.header.record_count);
    records += frame.header.record_count;
  }
  CHECK(records == 500);
  const auto stats = to.stats();
  CHECK(stats.acknowledged == 500);
  CHECK(stats.batches == id);
  CHECK(stats.ack_latency.count() == 500);
}

TEST_CASE("a single record leaves after its linger without a flush") {
  ingest_server server{always_ack};
  producer to{server.options()};
  auto delivered = to.send_with_future({"t", as_bytes("alone")});
  REQUIRE(delivered);
  REQUIRE(delivered->wait_for(std::chrono::seconds{10}) == std::future_status::ready);
  const auto told = delivered->get();
  CHECK(told.fate == fate::acknowledged);
  CHECK(told.topic == "t");
  CHECK_FALSE(told.problem);
}

TEST_CASE("callbacks run once each, in order, neither here nor on the I/O thread") {
  ingest_server server{always_ack};
  auto options = server.options();
  options.batch_bytes = 60;
  producer to{options};
  std::vector<int> called;
  std::set<std::thread::id> threads;
  for (int n = 0; n < 200; ++n)
    REQUIRE(send(to, "x", [&, n](const delivery& told) {
      called.push_back(told.fate == fate::acknowledged ? n : -1);
      threads.insert(std::this_thread::get_id());
    }));
  REQUIRE(to.flush(soon()));
  REQUIRE(called.size() == 200);
  CHECK(std::is_sorted(called.begin(), called.end()));
  CHECK(called[0] == 0);
  CHECK(threads.size() == 1);
  CHECK(threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("no more batches are in flight than the window allows") {
  std::atomic<int> held{0};
  std::atomic<bool> quiet{false};
  ingest_server server{[&](peer& from, const seen_frame& frame, int) {
    // Acks come only when nothing more comes: what is here then is the window.
    static thread_local std::vector<seen_frame> unanswered;
    unanswered.push_back(frame);
    if (from.something_within(100))
      return true;
    held = std::max(held.load(), static_cast<int>(unanswered.size()));
    for (const auto& one : unanswered)
      from.ack(one);
    unanswered.clear();
    quiet = true;
    return true;
  }};
  auto options = server.options();
  options.in_flight_max = 3;
  options.batch_bytes = 10;
  producer to{options};
  for (int n = 0; n < 9; ++n)
    REQUIRE(send(to, "0123456789"));
  REQUIRE(to.flush(soon()));
  CHECK(held == 3);
}

TEST_CASE("a lost connection: unanswered batches are sent again on the next, in order") {
  ingest_server server{[](peer& from, const seen_frame& frame, int connection) {
    if (connection == 1 && frame.header.batch_id == 3)
      return false; // one and two acked, three taken and never answered
    from.ack(frame);
    return true;
  }};
  auto options = server.options();
  options.batch_bytes = 10;
  producer to{options};
  const auto sent = numbered(20); // a batch each
  for (const auto& value : sent)
    REQUIRE(send(to, value));
  REQUIRE(to.flush(soon()));
  const auto stats = to.stats();
  CHECK(stats.acknowledged == 20);
  CHECK(stats.connects == 2);
  CHECK(stats.resent >= 1);
  // Nothing is missing, and the order holds apart from the repetition.
  const auto values = server.values();
  std::vector<std::string> unique;
  for (const auto& value : values)
    if (std::find(unique.begin(), unique.end(), value) == unique.end())
      unique.push_back(value);
  CHECK(unique == sent);
}

TEST_CASE("or their fate is reported as unknown") {
  ingest_server server{[](peer& from, const seen_frame& frame, int connection) {
    if (connection == 1)
      return false;
    from.ack(frame);
    return true;
  }};
  auto options = server.options();
  options.on_unknown = on_unknown::report;
  options.in_flight_max = 1;
  producer to{options};
  const auto first = to.send_with_future({"t", as_bytes("lost?")});
  const auto flushed = to.flush(soon());
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == errc::closed);
  CHECK_FALSE(flushed.error().retriable);
  CHECK(to.stats().unknown == 1);
  REQUIRE(send(to, "after"));
  CHECK(to.flush(soon())); // the failure was told once
  CHECK(server.values() == std::vector<std::string>{"lost?", "after"});
}

TEST_CASE("backpressure: the batch is sent again after a pause") {
  std::atomic<int> refusals{0};
  ingest_server server{[&](peer& from, const seen_frame& frame, int) {
    if (refusals < 3) {
      ++refusals;
      from.send(wire::backpressure_header());
    } else {
      from.ack(frame);
    }
    return true;
  }};
  producer to{server.options()};
  REQUIRE(send(to, "patient"));
  REQUIRE(to.flush(soon()));
  CHECK(server.frames().size() == 4);
  CHECK(to.stats().acknowledged == 1);
  CHECK(to.stats().connects == 1);
}

TEST_CASE("a refused batch does not stop the ones behind it") {
  ingest_server server{[](peer& from, const seen_frame& frame, int) {
    if (frame.header.batch_id == 1)
      from.refuse("READ_ONLY: the disk is full");
    else
      from.ack(frame);
    return true;
  }};
  auto options = server.options();
  options.batch_bytes = 1;
  producer to{options};
  auto first = to.send_with_future({"t", as_bytes("one")});
  auto second = to.send_with_future({"t", as_bytes("two")});
  const auto flushed = to.flush(soon());
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == errc::read_only);
  const auto told = first->get();
  CHECK(told.fate == fate::refused);
  CHECK(told.problem->code == errc::read_only);
  CHECK(told.problem->topic == "t");
  CHECK(second->get().fate == fate::acknowledged);
}

TEST_CASE("a redirect leads to the leader") {
  ingest_server leader{always_ack};
  ingest_server follower{[&](peer& from, const seen_frame&, int) {
    from.refuse("NOT_LEADER: redirect to " + to_text(leader.server().where()));
    return true;
  }};
  producer to{follower.options()};
  REQUIRE(send(to, "x"));
  REQUIRE(to.flush(soon()));
  CHECK(leader.values() == std::vector<std::string>{"x"});
}

TEST_CASE("answers that make no sense break the connection, nothing is lost") {
  ingest_server server{[](peer& from, const seen_frame& frame, int connection) {
    if (connection == 1)
      from.send(wire::ack_header(frame.header.batch_id + 1));
    else
      from.ack(frame);
    return true;
  }};
  producer to{server.options()};
  REQUIRE(send(to, "x"));
  REQUIRE(to.flush(soon()));
  CHECK(to.stats().connects == 2);
}

TEST_CASE("memory is bounded: a full producer waits, then refuses") {
  std::atomic<bool> answer{false};
  ingest_server server{[&](peer& from, const seen_frame& frame, int) {
    eventually([&] { return answer.load(); });
    from.ack(frame);
    return true;
  }};
  auto options = server.options();
  options.batch_bytes = 1000;
  options.memory_bytes = 3000;
  options.send_timeout = std::chrono::milliseconds{50};
  producer to{options};
  const std::string value(900, 'v');
  for (int n = 0; n < 3; ++n)
    REQUIRE(send(to, value));
  const auto full = send(to, value);
  REQUIRE_FALSE(full);
  CHECK(full.error().code == errc::exhausted);
  CHECK(full.error().retriable);
  answer = true;
  CHECK(eventually([&] { return send(to, value).has_value(); }));
  CHECK(to.flush(soon()));
}

TEST_CASE("a callback may send, and is refused instead of waiting when it is full") {
  ingest_server server{always_ack};
  auto options = server.options();
  options.batch_bytes = 100;
  options.memory_bytes = 100;
  options.send_timeout = std::chrono::seconds{10};
  producer to{options};
  std::optional<errc> code;
  const auto before = deadline::now_ns();
  REQUIRE(send(to, std::string(80, 'x'), [&](const delivery&) {
    const auto again = send(to, std::string(80, 'y')); // its own batch still holds the memory
    code = again ? errc{} : again.error().code;
  }));
  REQUIRE(to.flush(soon()));
  CHECK(code == errc::exhausted);
  CHECK(deadline::now_ns() - before < 5 * s_in_ns);
}

TEST_CASE("LZ4 makes envelopes where they are shorter") {
  ingest_server server{always_ack};
  auto options = server.options();
  options.lz4 = true;
  producer to{options};
  const std::string repetitive(10'000, 'r');
  REQUIRE(send(to, repetitive));
  REQUIRE(to.flush(soon()));
  REQUIRE(send(to, "short"));
  REQUIRE(to.flush(soon()));
  const auto frames = server.frames();
  REQUIRE(frames.size() == 2);
  CHECK((frames[0].header.flags & wire::flag::compressed) != 0);
  std::vector<std::byte> plain;
  REQUIRE(wire::decompress(frames[0].payload, wire::original_bytes_max, plain));
  CHECK(plain == framed({repetitive}));
  CHECK((frames[1].header.flags & wire::flag::compressed) == 0);
  CHECK(to.stats().payload_bytes == plain.size() + frames[1].payload.size());
}

TEST_CASE("raw payloads go as they are") {
  ingest_server server{always_ack};
  auto options = server.options();
  options.framing = framing::raw;
  producer to{options};
  REQUIRE(send(to, "bytes"));
  REQUIRE(to.flush(soon()));
  CHECK(server.frames()[0].text() == "bytes");
  CHECK(to.send({"t", as_bytes("v"), as_bytes("k")}).error().code == errc::invalid_request);
}

TEST_CASE("what cannot be sent is refused at once") {
  ingest_server server{always_ack};
  producer to{server.options()};
  const std::vector<std::byte> huge(wire::payload_bytes_max);
  CHECK(to.send({"t", huge}).error().code == errc::too_large);
  const std::string long_key(key_bytes_max + 1, 'k');
  CHECK(to.send({"t", as_bytes("v"), as_bytes(long_key)}).error().code == errc::invalid_request);
  const auto missing = to.send({"no-such-topic", as_bytes("v")});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::topic_not_found);
  REQUIRE(to.close(soon()));
  CHECK(send(to, "late").error().code == errc::closed);
}

TEST_CASE("a server that takes shorter frames gets shorter frames") {
  std::mutex lock;
  std::vector<std::size_t> lengths;
  fake_server server{[&](peer& from, int) {
    while (const auto seen = from.read()) {
      wire::topic_info topic;
      topic.id = topic_id{9};
      topic.name = "t";
      if (seen->command() == wire::command::hello &&
          wire::classify(seen->header) == wire::frame_kind::control) {
        wire::hello_reply told;
        told.max_frame_bytes = 1000;
        from.reply(wire::command::topic_response, wire::encode(told));
      } else if (!answer_topics(from, *seen, {topic})) {
        const std::lock_guard guard{lock};
        lengths.push_back(seen->payload.size());
        from.ack(*seen);
      }
    }
  }};
  producer_options options;
  options.connection = server.options();
  producer to{options};
  for (int n = 0; n < 50; ++n)
    REQUIRE(send(to, std::string(200, 'x')));
  const auto long_one = send(to, std::string(1000, 'y'));
  REQUIRE_FALSE(long_one);
  CHECK(long_one.error().code == errc::too_large);
  REQUIRE(to.flush(soon()));
  const std::lock_guard guard{lock};
  CHECK(lengths.size() >= 13);
  CHECK(*std::max_element(lengths.begin(), lengths.end()) <= 1000);
}

TEST_CASE("the largest record goes through") {
  ingest_server server{always_ack};
  producer to{server.options()};
  const std::vector<std::byte> value(wire::payload_bytes_max - wire::tlv_header_bytes,
                                     std::byte{'m'});
  REQUIRE(to.send({"t", value}));
  REQUIRE(to.flush(soon()));
  CHECK(server.frames()[0].payload.size() == wire::payload_bytes_max);
}

TEST_CASE("a topic that was deleted is looked up again") {
  ingest_server server{[](peer& from, const seen_frame& frame, int) {
    if (frame.header.batch_id == 1)
      from.refuse("TOPIC_NOT_FOUND: topic 9 not found");
    else
      from.ack(frame);
    return true;
  }};
  producer to{server.options()};
  REQUIRE(send(to, "to the old one"));
  CHECK(to.flush(soon()).error().code == errc::topic_not_found);
  REQUIRE(send(to, "to the new one"));
  CHECK(to.flush(soon()));
}

TEST_CASE("a server that never answers: given up in time, fate unknown") {
  ingest_server server{[](peer&, const seen_frame&, int) { return true; }};
  auto options = server.options();
  options.connection.request_timeout = std::chrono::milliseconds{30};
  options.delivery_timeout = std::chrono::milliseconds{200};
  producer to{options};
  auto delivered = to.send_with_future({"t", as_bytes("x")});
  const auto flushed = to.flush(soon());
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == errc::timed_out);
  CHECK(delivered->get().fate == fate::unknown);
  CHECK(to.stats().connects >= 2);
}

TEST_CASE("flush ends at its deadline, close gives up what is left") {
  ingest_server server{[](peer&, const seen_frame&, int) { return true; }};
  producer to{server.options()};
  auto delivered = to.send_with_future({"t", as_bytes("x")});
  CHECK(to.flush(deadline::after(std::chrono::milliseconds{30})).error().code == errc::timed_out);
  CHECK_FALSE(to.close(deadline::after(std::chrono::milliseconds{30})));
  CHECK(delivered->get().fate == fate::unknown);
}

TEST_CASE("many threads may send") {
  ingest_server server{always_ack};
  auto options = server.options();
  options.batch_bytes = 500;
  options.memory_bytes = 5000;
  producer to{options};
  std::vector<std::thread> threads;
  std::atomic<int> refused{0};
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n)
        refused += send(to, "from some thread") ? 0 : 1;
    });
  for (auto& thread : threads)
    thread.join();
  CHECK(refused == 0);
  REQUIRE(to.flush(soon()));
  CHECK(to.stats().acknowledged == 2000);
  CHECK(server.values().size() == 2000);
}

namespace {

// Registers producers, notes with which epoch, and stores each number once.
struct numbering_server {
  std::mutex lock;
  std::vector<std::string> registered;
  std::uint64_t newest = 0;
  std::uint32_t epoch = 0;
  std::vector<std::string> stored;
  bool lose_answers = false;
  std::uint64_t too_large = 0; ///< the number that is refused for good

  bool operator()(peer& from, const seen_frame& frame, int connection) {
    const std::lock_guard guard{lock};
    if (wire::classify(frame.header) == wire::frame_kind::control) {
      auto who = *wire::decode_producer(frame.payload);
      registered.push_back(std::to_string(who.producer) + '/' + std::to_string(who.epoch));
      if (who.epoch != epoch)
        newest = 0;
      epoch = who.epoch;
      who.producer = 77;
      from.reply(wire::command::producer_registered, wire::encode(who));
      return true;
    }
    const auto number = frame.header.batch_id;
    if (number == too_large && epoch == 0) {
      from.refuse("TOO_LARGE: no");
      return true;
    }
    if (number > newest + 1) {
      from.refuse("OUT_OF_SEQUENCE: no");
      return true;
    }
    if (number == newest + 1) {
      newest = number;
      stored.emplace_back(as_text(wire::tlv_reader{frame.payload}.next()->value));
    }
    if (lose_answers && connection < 3 && number % 3 == 0)
      return false;
    from.ack(frame);
    return true;
  }
};

} // namespace

TEST_CASE("an idempotent producer registers on each connection and stores each batch once") {
  numbering_server numbers;
  numbers.lose_answers = true;
  ingest_server server{std::ref(numbers)};
  auto options = server.options();
  options.idempotent = true;
  options.on_unknown = on_unknown::report; // not for who may send again
  options.batch_bytes = 10;
  producer to{options};
  const auto sent = numbered(20);
  for (const auto& value : sent)
    REQUIRE(send(to, value));
  REQUIRE(to.flush(soon()));
  CHECK(to.stats().acknowledged == 20);
  CHECK(to.stats().resent > 0);
  REQUIRE(to.close(soon()));
  const std::lock_guard guard{numbers.lock};
  CHECK(numbers.stored == sent);
  REQUIRE(numbers.registered.size() > 1);
  CHECK(numbers.registered[0] == "0/0");
  CHECK(numbers.registered[1] == "77/0"); // it keeps its name
}

TEST_CASE("after a batch that is refused for good an idempotent producer goes on in a new epoch") {
  numbering_server numbers;
  numbers.too_large = 3;
  ingest_server server{std::ref(numbers)};
  auto options = server.options();
  options.idempotent = true;
  options.batch_bytes = 10;
  producer to{options};
  auto sent = numbered(20);
  for (const auto& value : sent)
    REQUIRE(send(to, value));
  const auto flushed = to.flush(soon());
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == errc::too_large);
  CHECK(to.stats().refused == 1);
  CHECK(to.stats().unknown == 0);
  CHECK(to.stats().acknowledged == 19);
  REQUIRE(to.close(soon()));
  const std::lock_guard guard{numbers.lock};
  sent.erase(sent.begin() + 2);
  CHECK(numbers.stored == sent);
  CHECK(numbers.registered == std::vector<std::string>{"0/0", "77/1"});
}

TEST_CASE("a server that knows no idempotent producers gets nothing from one") {
  ingest_server server{[](peer& from, const seen_frame&, int) {
    from.refuse("INVALID_REQUEST: Invalid client command");
    return true;
  }};
  auto options = server.options();
  options.idempotent = true;
  producer to{options};
  REQUIRE(send(to, "x"));
  const auto flushed = to.flush(soon());
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == errc::unsupported);
  CHECK_FALSE(flushed.error().retriable);
  CHECK(to.stats().refused == 1);
}
