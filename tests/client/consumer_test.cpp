#include "client/consumer.hpp"

#include <catch2/catch.hpp>

#include "tests/client/fake_server.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::testing;
using wire::command;

namespace {

using deed = std::function<bool(peer& from, const seen_frame& asked, int connection)>;

// Topic "t" is log 9; everything but the list of topics is the test's to answer.
fake_server::script serving(deed answer) {
  return [answer = std::move(answer)](peer& from, int number) {
    while (const auto asked = from.read()) {
      wire::topic_info topic;
      topic.id = topic_id{9};
      topic.name = "t";
      if (answer_topics(from, *asked, {topic}))
        continue;
      if (!answer(from, *asked, number))
        return;
    }
  };
}

// A log of whole batches, served one per request.
struct small_log {
  std::vector<stored_batch> batches;

  void add(const std::vector<std::string>& values, std::uint64_t time_ns = 1) {
    byte_offset at;
    record_number number;
    if (!batches.empty()) {
      const auto& last = batches.back();
      at = byte_offset{last.entry.offset.value + last.payload.size()};
      number = record_number{last.entry.first_record.value + last.entry.record_count};
    }
    batches.push_back(batch_of(at, number, values, time_ns));
  }
  [[nodiscard]] byte_offset end() const {
    const auto& last = batches.back();
    return byte_offset{last.entry.offset.value + last.payload.size()};
  }
  bool answer(peer& from, const seen_frame& asked) const {
    if (asked.command() == command::offset_lookup)
      return look_up(from, *wire::decode_offset_lookup(asked.payload));
    const auto request = wire::decode_fetch_batches(asked.payload);
    if (!request)
      return false;
    for (const auto& one : batches)
      if (one.entry.offset.value + one.payload.size() > request->start.value) {
        const byte_offset next{one.entry.offset.value + one.payload.size()};
        from.reply(command::batches_reply, batches_reply(next, end(), {one}));
        return true;
      }
    from.reply(command::batches_reply, batches_reply(request->start, end(), {}));
    return true;
  }
  bool look_up(peer& from, const wire::offset_lookup_request& wanted) const {
    wire::offset_lookup_reply found{end(), {}, 0};
    for (const auto& one : batches) {
      const auto& entry = one.entry;
      const bool hit = wanted.kind == wire::lookup_kind::earliest ||
                       (wanted.kind == wire::lookup_kind::record &&
                        entry.first_record.value + entry.record_count > wanted.value) ||
                       (wanted.kind == wire::lookup_kind::time_ns && entry.time_ns >= wanted.value);
      if (hit) {
        found = {entry.offset, entry.first_record, entry.time_ns};
        break;
      }
    }
    from.reply(command::offset_reply, wire::encode(found));
    return true;
  }
};

const small_log& five_records() {
  static const small_log log = [] {
    small_log made;
    made.add({"zero", "one"}, 100);
    made.add({"two"}, 200);
    made.add({"three", "four"}, 300);
    return made;
  }();
  return log;
}

consumer_options options_for(const fake_server& server, int wait_ms = 0) {
  consumer_options options;
  options.connection = server.options();
  options.fetch_wait = std::chrono::milliseconds{wait_ms};
  options.idle_poll = std::chrono::milliseconds{2};
  return options;
}

// Polls until there is nothing more; what went wrong is in `problem`.
std::vector<std::string> read_all(consumer& from, std::optional<failure>* problem = nullptr) {
  std::vector<std::string> values;
  while (true) {
    const auto records = from.poll(2, soon());
    if (!records && problem != nullptr)
      *problem = records.error();
    if (!records || records->empty())
      return values;
    for (const auto& one : *records)
      values.emplace_back(as_text(one.value));
  }
}

using strings = std::vector<std::string>;

} // namespace

TEST_CASE("a topic is read from any place on") {
  fake_server server{serving(
      [](peer& from, const seen_frame& asked, int) { return five_records().answer(from, asked); })};
  using kind = start_position::kind;
  const std::vector<std::pair<start_position, strings>> places{
      {{kind::earliest, 0}, {"zero", "one", "two", "three", "four"}},
      {{kind::offset, 9}, {"one", "two", "three", "four"}},
      {{kind::record, 1}, {"one", "two", "three", "four"}},
      {{kind::record, 4}, {"four"}},
      {{kind::time, 150}, {"two", "three", "four"}},
      {{kind::latest, 0}, {}},
  };
  consumer from{options_for(server)};
  for (const auto& [place, expected] : places) {
    REQUIRE(from.subscribe("t", place));
    CHECK(read_all(from) == expected);
    CHECK(from.position() == five_records().end());
    CHECK(from.at_end());
  }
  CHECK_FALSE(from.plain());
  CHECK(*from.end() == five_records().end());
}

TEST_CASE("an unknown topic is not found") {
  fake_server server{serving([](peer&, const seen_frame&, int) { return true; })};
  consumer from{options_for(server)};
  const auto subscribed = from.subscribe("other");
  REQUIRE_FALSE(subscribed);
  CHECK(subscribed.error().code == errc::topic_not_found);
}

TEST_CASE("following: the server holds the request, a poll may look in and come back") {
  std::atomic<int> fetches{0};
  std::atomic<std::uint32_t> asked_wait_ms{0};
  fake_server server{serving([&](peer& from, const seen_frame& asked, int) {
    if (asked.command() == command::fetch_batches) {
      ++fetches;
      asked_wait_ms = wire::decode_fetch_batches(asked.payload)->max_wait_ms;
      std::this_thread::sleep_for(std::chrono::milliseconds{60});
    }
    return five_records().answer(from, asked);
  })};
  consumer from{options_for(server, 5000)};
  REQUIRE(from.subscribe("t", {start_position::kind::record, 3}));
  const auto too_early = from.poll(10, deadline::after(std::chrono::milliseconds{5}));
  REQUIRE(too_early);
  CHECK(too_early->empty());
  const auto records = from.poll(10, soon());
  REQUIRE(records);
  REQUIRE(records->size() == 2);
  CHECK((*records)[0].number == record_number{3});
  CHECK((*records)[0].time_ns == 300);
  CHECK(fetches == 1);
  CHECK(asked_wait_ms == 5000);
}

TEST_CASE("reading goes on after a lost connection, without loss or repetition") {
  std::atomic<int> fetches{0};
  fake_server server{serving([&](peer& from, const seen_frame& asked, int) {
    if (asked.command() == command::fetch_batches && ++fetches % 2 == 0)
      return false;
    return five_records().answer(from, asked);
  })};
  consumer from{options_for(server)};
  REQUIRE(from.subscribe("t"));
  CHECK(read_all(from) == strings{"zero", "one", "two", "three", "four"});
}

TEST_CASE("a server that is gone is a retriable failure when the time is over") {
  auto server = std::make_unique<fake_server>(serving(
      [](peer& from, const seen_frame& asked, int) { return five_records().answer(from, asked); }));
  consumer from{options_for(*server)};
  REQUIRE(from.subscribe("t"));
  server.reset();
  const auto records = from.poll(10, deadline::after(std::chrono::milliseconds{50}));
  REQUIRE_FALSE(records);
  CHECK(records.error().retriable);
}

TEST_CASE("a server of LWP v1: byte ranges, a torn tail kept across replies") {
  const auto stream = framed({"first", "second", "third"});
  fake_server server{serving([&](peer& from, const seen_frame& asked, int) {
    if (asked.command() != command::fetch) {
      from.refuse("Invalid client command");
      return true;
    }
    const auto request = wire::decode_fetch(asked.payload);
    const auto start = std::min<std::uint64_t>(request->start.value, stream.size());
    const auto count = request->start == wire::fetch_end_query
                           ? 0
                           : std::min<std::size_t>(7, stream.size() - start);
    const auto head = wire::fetch_head_for(byte_offset{start}, static_cast<std::uint32_t>(count));
    const auto bytes = wire::encode(head);
    std::vector<std::byte> payload(bytes.begin(), bytes.end());
    payload.insert(payload.end(), stream.begin() + static_cast<std::ptrdiff_t>(start),
                   stream.begin() + static_cast<std::ptrdiff_t>(start + count));
    from.reply(command::fetch_response, payload);
    return true;
  })};
  consumer from{options_for(server)};
  REQUIRE(from.subscribe("t"));
  CHECK(read_all(from) == strings{"first", "second", "third"});
  CHECK(from.plain());
  CHECK(from.position() == byte_offset{stream.size()});
  CHECK(*from.end() == byte_offset{stream.size()});

  REQUIRE(from.subscribe("t", {start_position::kind::offset, 10}));
  const auto records = from.poll(10, soon());
  REQUIRE(records);
  CHECK((*records)[0].offset == byte_offset{10});
  CHECK_FALSE((*records)[0].number);
  CHECK(from.subscribe("t", {start_position::kind::record, 1}).error().code == errc::unsupported);
}

TEST_CASE("catching up: asked again, and told when the end stays before us") {
  std::atomic<int> answers{0};
  fake_server lagging{serving([&](peer& from, const seen_frame& asked, int) {
    if (asked.command() == command::fetch_batches && ++answers < 3) {
      from.reply(command::catching_up,
                 wire::encode_catching_up(byte_offset{static_cast<std::uint64_t>(answers)}));
      return true;
    }
    return five_records().answer(from, asked);
  })};
  consumer patient{options_for(lagging)};
  REQUIRE(patient.subscribe("t", {start_position::kind::offset, 9}));
  CHECK(read_all(patient) == strings{"one", "two", "three", "four"});

  fake_server server{serving(
      [](peer& from, const seen_frame& asked, int) { return five_records().answer(from, asked); })};
  consumer lost{options_for(server)};
  REQUIRE(lost.subscribe("t", {start_position::kind::offset, 99'999}));
  std::optional<failure> problem;
  CHECK(read_all(lost, &problem).empty());
  REQUIRE(problem);
  CHECK(problem->code == errc::offset_out_of_range);
}

TEST_CASE("a silent server is given up after the request's time") {
  fake_server server{serving([](peer& from, const seen_frame& asked, int) {
    return asked.command() == command::fetch_batches || five_records().answer(from, asked);
  })};
  auto options = options_for(server);
  options.connection.request_timeout = std::chrono::milliseconds{40};
  consumer from{options};
  REQUIRE(from.subscribe("t"));
  const auto records = from.poll(10, deadline::after(std::chrono::milliseconds{300}));
  REQUIRE_FALSE(records);
  CHECK(records.error().code == errc::timed_out);
  CHECK(server.accepted() > 2); // it tried on other connections meanwhile
}

TEST_CASE("the server's refusal is told with node and topic") {
  fake_server server{serving([](peer& from, const seen_frame& asked, int) {
    if (asked.command() != command::fetch_batches)
      return five_records().answer(from, asked);
    from.refuse("CORRUPT: a batch does not hold");
    return true;
  })};
  consumer from{options_for(server)};
  REQUIRE(from.subscribe("t"));
  const auto records = from.poll(10, soon());
  REQUIRE_FALSE(records);
  CHECK(records.error().code == errc::corrupt);
  CHECK(records.error().topic == "t");
  CHECK(records.error().node == to_text(server.where()));
}

TEST_CASE("a reply that cannot be read does not loop for ever") {
  fake_server server{serving([](peer& from, const seen_frame& asked, int) {
    if (asked.command() != command::fetch_batches)
      return five_records().answer(from, asked);
    // It claims a batch, and to be no further.
    from.reply(command::batches_reply,
               batches_reply(byte_offset{0}, byte_offset{99}, {five_records().batches[0]}));
    return true;
  })};
  consumer from{options_for(server)};
  REQUIRE(from.subscribe("t"));
  const auto records = from.poll(10, deadline::after(std::chrono::milliseconds{100}));
  REQUIRE_FALSE(records);
  CHECK(records.error().code == errc::bad_frame);
}
