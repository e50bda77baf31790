#include "client/admin.hpp"

#include <catch2/catch.hpp>

#include "tests/client/fake_server.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::testing;
using wire::command;

namespace {

wire::topic_info topic(std::uint32_t id, const std::string& name) {
  wire::topic_info info;
  info.id = topic_id{id};
  info.name = name;
  return info;
}

// Answers every request of every connection with the same deed.
fake_server::script each(std::function<void(peer&, const seen_frame&)> answer) {
  return [answer = std::move(answer)](peer& from, int) {
    while (const auto asked = from.read())
      answer(from, *asked);
  };
}

// A server of LWP v1: it knows no command from 30 on.
void answer_as_v1(peer& from, const seen_frame& asked) {
  if (answer_topics(from, asked, {topic(3, "old")}))
    return;
  if (asked.command() == command::create_topic)
    from.reply(command::topic_response,
               wire::encode_topic(topic(4, asked.text()), wire::topic_form::published));
  else if (asked.command() == command::create_topic_with_retention) {
    const auto request = wire::decode_create_with_retention(asked.payload);
    auto made = topic(5, std::string{request->name});
    made.policy.max_age_secs = request->limits.max_age_secs;
    made.policy.max_bytes = request->limits.max_bytes;
    from.reply(command::topic_response, wire::encode_topic(made, wire::topic_form::flat));
  } else if (asked.command() == command::set_retention)
    from.reply(command::topic_response,
               wire::encode_retention_set(*wire::decode_set_retention(asked.payload)));
  else if (asked.command() == command::fetch)
    from.reply(command::fetch_response, wire::encode(wire::fetch_head{byte_offset{4242}, 0, 0}));
  else
    from.refuse("Invalid client command");
}

} // namespace

TEST_CASE("names become logs, once") {
  std::atomic<int> asked_for_topics{0};
  fake_server server{each([&](peer& from, const seen_frame& asked) {
    ++asked_for_topics;
    answer_topics(from, asked, {topic(1, "a"), topic(7, "b")});
  })};
  admin to{server.options()};
  CHECK(*to.resolve("b") == log_id{7});
  CHECK(*to.resolve("b") == log_id{7});
  CHECK(asked_for_topics == 1);
  const auto missing = to.resolve("c");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::topic_not_found);
  CHECK(missing.error().topic == "c");
  to.forget("b");
  CHECK(*to.resolve("b") == log_id{7});
  CHECK(asked_for_topics == 3);
  CHECK(server.accepted() == 1);
}

TEST_CASE("further partitions are found in the description") {
  fake_server server{each([](peer& from, const seen_frame&) {
    wire::topic_description description;
    description.topic = topic(7, "b");
    description.partitions.resize(2);
    description.partitions[1].partition = 1;
    description.partitions[1].log = log_id{70};
    from.reply(command::topic_response, wire::encode(description));
  })};
  admin to{server.options()};
  CHECK(*to.resolve("b", 1) == log_id{70});
  const auto missing = to.resolve("b", 2);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::topic_not_found);
}

TEST_CASE("a server of LWP v1 is served with its own commands") {
  fake_server server{each(answer_as_v1)};
  admin to{server.options()};
  CHECK(to.hello().error().code == errc::unsupported);
  CHECK(to.create_topic("new")->id == topic_id{4});
  wire::topic_policy limits;
  limits.max_bytes = 99;
  CHECK(to.create_topic("new", limits)->policy.max_bytes == 99);
  wire::topic_policy more;
  more.partitions = 3;
  CHECK(to.create_topic("new", more).error().code == errc::unsupported);
  CHECK(to.set_topic("old", limits)->policy.max_bytes == 99);
  CHECK(to.lookup(log_id{3}, wire::lookup_kind::latest)->offset == byte_offset{4242});
  CHECK(to.lookup(log_id{3}, wire::lookup_kind::time_ns, 1).error().code == errc::unsupported);
}

TEST_CASE("a question is asked again when its connection is lost") {
  fake_server server{[](peer& from, int number) {
    while (const auto asked = from.read()) {
      if (number < 2)
        return;
      answer_topics(from, *asked, {topic(1, "a")});
    }
  }};
  admin to{server.options()};
  CHECK(to.list_topics());
  CHECK(server.accepted() == 3);
}

TEST_CASE("a change is not: its outcome is unknown, and that is said") {
  fake_server server{[](peer& from, int) { static_cast<void>(from.read()); }};
  admin to{server.options()};
  const auto made = to.create_topic("x");
  REQUIRE_FALSE(made);
  CHECK(made.error().code == errc::closed);
  CHECK_FALSE(made.error().retriable);
  CHECK(made.error().sentence.find("unknown") != std::string::npos);
  CHECK(server.accepted() == 1);
}

TEST_CASE("transient refusals are retried until the time is over") {
  std::atomic<int> times{0};
  fake_server server{each([&](peer& from, const seen_frame& asked) {
    if (++times < 4)
      from.refuse("FORWARD_FAILED: Leader not ready");
    else
      answer_topics(from, asked, {});
  })};
  CHECK(admin{server.options()}.list_topics());
  CHECK(times == 4);

  fake_server never{each([](peer& from, const seen_frame&) { from.refuse("FORWARD_FAILED: no"); })};
  auto options = never.options();
  options.request_timeout = std::chrono::milliseconds{50};
  CHECK(admin{options}.list_topics().error().code == errc::forward_failed);
}

TEST_CASE("a redirect to the leader is followed, for changes too") {
  fake_server leader{each(answer_as_v1)};
  fake_server other{each([&](peer& from, const seen_frame&) {
    from.refuse("NOT_LEADER: redirect to " + to_text(leader.where()));
  })};
  admin to{other.options()};
  CHECK(to.create_topic("new"));
  CHECK(to.node() == to_text(leader.where()));
}

TEST_CASE("a connection that was closed while idle is replaced unnoticed") {
  fake_server server{[](peer& from, int) {
    if (const auto asked = from.read())
      from.reply(command::topic_response,
                 wire::encode_topic(topic(1, asked->text()), wire::topic_form::published));
  }};
  admin to{server.options()};
  CHECK(to.create_topic("a"));
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  CHECK(to.create_topic("b"));
  CHECK(server.accepted() == 2);
}

TEST_CASE("a silent server is given up in time") {
  fake_server server{[](peer& from, int) {
    while (from.read()) {
    }
  }};
  auto options = server.options();
  options.request_timeout = std::chrono::milliseconds{50};
  const auto before = deadline::now_ns();
  const auto listed = admin{options}.list_topics();
  REQUIRE_FALSE(listed);
  CHECK(listed.error().code == errc::timed_out);
  CHECK(deadline::now_ns() - before < 5 * s_in_ns);
}

TEST_CASE("bad names do not leave the house") {
  connection_options nowhere;
  nowhere.servers.clear();
  for (const auto* name : {"", "0", "a/b", "a b"})
    CHECK(admin{nowhere}.create_topic(name).error().code == errc::invalid_name);
}

TEST_CASE("an answer to another question is a bad frame") {
  fake_server server{each([](peer& from, const seen_frame&) { from.send(wire::ack_header(1)); })};
  auto options = server.options();
  options.request_timeout = std::chrono::milliseconds{50};
  CHECK(admin{options}.hello().error().code == errc::bad_frame);
}
