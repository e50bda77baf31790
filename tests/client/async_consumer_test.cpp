#include "client/async_consumer.hpp"

#include <atomic>
#include <coroutine>
#include <exception>

#include <catch2/catch.hpp>

#include "client/awaitable.hpp"
#include "tests/client/fake_server.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::testing;
using namespace std::chrono_literals;
using wire::command;

namespace {

std::atomic<int> fetches{0};

// Topic "t" is log 9. Serves as many batches of one record as `stored` says at the moment, and
// acknowledges what is sent to it.
fake_server::script serving(std::atomic<std::size_t>& stored) {
  return [&stored](peer& from, int) {
    while (const auto asked = from.read()) {
      wire::topic_info topic;
      topic.id = topic_id{9};
      topic.name = "t";
      if (answer_topics(from, *asked, {topic}))
        continue;
      if (wire::classify(asked->header) == wire::frame_kind::ingest) {
        ++stored;
        from.send(wire::ack_header(asked->header.batch_id));
        continue;
      }
      std::vector<stored_batch> all;
      byte_offset end;
      for (std::size_t i = 0; i < stored; ++i) {
        all.push_back(batch_of(end, record_number{i}, {"value " + std::to_string(i)}, 1));
        end.value += all.back().payload.size();
      }
      if (asked->command() == command::offset_lookup) {
        from.reply(command::offset_reply, wire::encode(wire::offset_lookup_reply{}));
        continue;
      }
      const auto request = wire::decode_fetch_batches(asked->payload);
      if (!request)
        return;
      ++fetches;
      std::vector<stored_batch> some;
      for (const auto& each : all)
        if (each.entry.offset >= request->start)
          some.push_back(each);
      if (some.empty())
        std::this_thread::sleep_for(5ms); // as a server that holds a request for a while
      from.reply(command::batches_reply,
                 batches_reply(some.empty() ? request->start : end, end, some));
    }
  };
}

std::unique_ptr<consumer> subscribed(const fake_server& server) {
  consumer_options options;
  options.connection = server.options();
  auto made = std::make_unique<consumer>(options);
  REQUIRE(made->subscribe("t"));
  return made;
}

std::string text_of(const records_outcome& what) {
  std::string all;
  for (const auto& each : what.value())
    all += std::string{as_text(each.value)} + ";";
  return all;
}

struct task {
  struct promise_type {
    std::promise<std::string> result;
    task get_return_object() { return {result.get_future()}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(std::string value) { result.set_value(std::move(value)); }
    void unhandled_exception() { result.set_exception(std::current_exception()); }
  };
  std::future<std::string> result;
};

task there_and_back(producer& out, async_consumer& in) {
  std::string story;
  for (int i = 0; i < 3; ++i) {
    const auto end = co_await sent(out, {.topic = "t", .value = as_bytes("x")});
    story += end.fate == fate::acknowledged ? "acknowledged;" : "lost;";
  }
  story += text_of(co_await received(in, 2, deadline::after(10s)));
  story += text_of(co_await received(in, 2, deadline::after(10s)));
  const auto refused = co_await received(in, 0, deadline::never());
  story += refused ? "taken" : "refused";
  const auto unknown = co_await sent(out, {.topic = "nobody's", .value = as_bytes("x")});
  co_return story + (unknown.problem->code == errc::topic_not_found ? ";not found" : ";found");
}

} // namespace

TEST_CASE("records come by callback and by future, in order") {
  std::atomic<std::size_t> stored{5};
  fake_server server{serving(stored)};
  async_consumer in{subscribed(server)};
  std::promise<records_outcome> first;
  REQUIRE(in.next(2, deadline::after(10s),
                  [&first](records_outcome what) { first.set_value(std::move(what)); }));
  auto second = in.next_with_future(2, deadline::after(10s));
  auto third = in.next_with_future(9, deadline::after(10s));
  REQUIRE(second);
  REQUIRE(third);
  const auto got = first.get_future().get();
  CHECK(text_of(got) == "value 0;value 1;");
  CHECK((*got)[1].number == record_number{1});
  CHECK(text_of(second->get()) == "value 2;value 3;");
  CHECK(text_of(third->get()) == "value 4;");
}

TEST_CASE("a request waits for records, and for no longer than it was told") {
  std::atomic<std::size_t> stored{0};
  fake_server server{serving(stored)};
  async_consumer in{subscribed(server)};
  auto nothing = in.next_with_future(1, deadline::after(20ms));
  REQUIRE(nothing);
  CHECK(nothing->get().value().empty());
  auto something = in.next_with_future(1, deadline::never());
  REQUIRE(something);
  CHECK(something->wait_for(30ms) == std::future_status::timeout);
  stored = 1;
  CHECK(text_of(something->get()) == "value 0;");
}

TEST_CASE("a callback that sleeps does not stop the reading") {
  std::atomic<std::size_t> stored{1};
  fake_server server{serving(stored)};
  std::string first;
  std::promise<void> asleep;
  std::promise<void> wake;
  async_consumer in{subscribed(server)};
  REQUIRE(in.next(1, deadline::after(10s), [&](const records_outcome& what) {
    first = text_of(what);
    asleep.set_value();
    wake.get_future().wait();
  }));
  auto second = in.next_with_future(1, deadline::after(10s));
  REQUIRE(second);
  asleep.get_future().wait();
  CHECK(first == "value 0;");
  const auto before = fetches.load();
  const auto until = deadline::after(10s);
  while (fetches < before + 3 && !until.passed()) // the server is asked on behalf of the second
    std::this_thread::sleep_for(1ms);
  CHECK(fetches >= before + 3);
  CHECK(second->wait_for(0s) == std::future_status::timeout); // callbacks run one at a time
  stored = 2;
  wake.set_value();
  CHECK(text_of(second->get()) == "value 1;");
}

TEST_CASE("too many requests are refused, and the end answers all that wait") {
  std::atomic<std::size_t> stored{0};
  fake_server server{serving(stored)};
  std::atomic<std::size_t> closed{0};
  {
    async_consumer in{subscribed(server)};
    const auto count = [&closed](const records_outcome& what) {
      closed += !what && what.error().code == errc::closed ? 1 : 0;
    };
    for (std::size_t i = 0; i < async_consumer::requests_max; ++i)
      REQUIRE(in.next(1, deadline::never(), count));
    const auto refused = in.next(1, deadline::never(), count);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::exhausted);
    CHECK(in.next(1, deadline::never(), {}).error().code == errc::invalid_request);
  }
  CHECK(closed == async_consumer::requests_max);
}

TEST_CASE("a coroutine sends and reads") {
  std::atomic<std::size_t> stored{0};
  fake_server server{serving(stored)};
  producer_options options;
  options.connection = server.options();
  options.linger = 0us;
  producer out{options};
  async_consumer in{subscribed(server)};
  CHECK(there_and_back(out, in).result.get() ==
        "acknowledged;acknowledged;acknowledged;value 0;value 1;value 2;refused;not found");
}
