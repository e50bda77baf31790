#include "actors/gate.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <catch2/catch.hpp>

#include "wire/control_json.hpp"

namespace lance::actors {
namespace {

using wire::command;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto view = as_bytes(text);
  return {view.begin(), view.end()};
}

std::vector<std::byte> id_and_zeros(std::uint32_t id) {
  std::vector<std::byte> payload(32);
  store_le(payload.data(), id);
  return payload;
}

// A payload for each command that is about topic 7, "orders".
std::vector<std::byte> payload_of(command code) {
  switch (code) {
  case command::create_topic:
    return bytes_of("orders");
  case command::create_topic_with_retention: {
    std::vector<std::byte> payload(2);
    store_le(payload.data(), std::uint16_t{6});
    const auto name = bytes_of("orders");
    payload.insert(payload.end(), name.begin(), name.end());
    payload.resize(payload.size() + 16);
    return payload;
  }
  case command::create_topic_x:
    return bytes_of(R"({"name":"orders"})");
  case command::set_topic:
    return bytes_of(R"({"name":"orders","max_bytes":1})");
  case command::describe_topic:
  case command::unfence_topic:
    return bytes_of(R"({"name":"orders"})");
  default:
    return id_and_zeros(7);
  }
}

enum class needs { nothing, knowing, any, produce, consume, admin };

// Every command a client may send, and what it takes. A new one must get its row here.
const std::map<command, needs> table{
    {command::authenticate, needs::nothing},
    {command::create_topic, needs::admin},
    {command::delete_topic, needs::admin},
    {command::list_topics, needs::knowing},
    {command::get_topic, needs::any},
    {command::set_retention, needs::admin},
    {command::create_topic_with_retention, needs::admin},
    {command::get_cluster_status, needs::knowing},
    {command::fetch, needs::consume},
    {command::subscribe, needs::consume},
    {command::unsubscribe, needs::consume},
    {command::commit_offset, needs::consume},
    {command::hello, needs::knowing},
    {command::create_topic_x, needs::admin},
    {command::describe_topic, needs::any},
    {command::set_topic, needs::admin},
    {command::unfence_topic, needs::admin},
    {command::offset_lookup, needs::consume},
    {command::fetch_batches, needs::consume},
    {command::register_producer, needs::knowing},
};
// Those that only servers send.
const std::array replies{
    command::authenticate_response,   command::fetch_response,      command::catching_up,
    command::subscribe_ack,           command::commit_ack,          command::offset_reply,
    command::batches_reply,           command::producer_registered, command::topic_response,
    command::cluster_status_response, command::error_response};

access_book book_of(std::string_view rules) {
  access_book book;
  book.enabled = true;
  std::size_t line = 0;
  std::string why;
  auto parsed = cluster::access_rules::parse(rules, line, why);
  REQUIRE(parsed);
  book.rules = std::move(*parsed);
  return book;
}

struct fixture {
  fixture() { names.add(topic_id{7}, "orders"); }
  verdict ask(const access_book& book, const caller& who, command code) {
    std::string topic;
    return judge_request(book, who, code, payload_of(code), names, topic);
  }
  topic_names names;
  caller stranger;
  caller known{{"token:a"}};
};

} // namespace

TEST_CASE_METHOD(fixture, "every command a client may send has its row") {
  for (int code = 0; code < 256; ++code) {
    const auto which = static_cast<command>(code);
    const bool named = wire::name_of(which) != "unknown";
    const bool reply = std::find(replies.begin(), replies.end(), which) != replies.end();
    INFO(wire::name_of(which) << " " << code);
    CHECK(named == (reply || table.contains(which)));
  }
}

TEST_CASE_METHOD(fixture, "each command, asked by each kind of caller") {
  const std::map<needs, std::string_view> giving{{needs::produce, "token:a produce orders\n"},
                                                 {needs::consume, "token:a consume orders\n"},
                                                 {needs::admin, "token:a admin orders\n"}};
  for (const auto& [code, needed] : table) {
    INFO(wire::name_of(code));
    // Switched off: everybody may do everything.
    CHECK(ask(access_book{}, stranger, code) == verdict::allowed);
    // On, without rules: it is enough to be known.
    access_book open;
    open.enabled = true;
    CHECK(ask(open, known, code) == verdict::allowed);
    CHECK(ask(open, stranger, code) ==
          (needed == needs::nothing ? verdict::allowed : verdict::not_authenticated));
    // With rules: nothing without one,
    const auto none = book_of("token:b all *\n");
    const bool on_topic = needed == needs::any || needed == needs::consume ||
                          needed == needs::admin || needed == needs::produce;
    CHECK(ask(none, known, code) == (on_topic ? verdict::not_authorized : verdict::allowed));
    CHECK(ask(none, stranger, code) ==
          (needed == needs::nothing ? verdict::allowed : verdict::not_authenticated));
    // and only what the right one gives.
    for (const auto& [given, rules] : giving) {
      INFO(rules);
      const bool enough = !on_topic || needed == needs::any || needed == given;
      CHECK(ask(book_of(rules), known, code) ==
            (enough ? verdict::allowed : verdict::not_authorized));
    }
    // A right on another topic is none.
    CHECK(ask(book_of("token:a all other\n"), known, code) ==
          (on_topic ? verdict::not_authorized : verdict::allowed));
    // Reading is free where only writers are asked.
    auto writers = book_of("token:b all *\n");
    writers.write_only = true;
    CHECK(ask(writers, stranger, code) ==
          (needed == needs::admin ? verdict::not_authenticated : verdict::allowed));
  }
}

TEST_CASE_METHOD(fixture, "appending takes the right to produce, and writers are always asked") {
  const auto ask_ingest = [&](const access_book& book, const caller& who, std::uint32_t topic = 7) {
    return judge_ingest(book, who, topic, names);
  };
  CHECK(ask_ingest({}, stranger) == verdict::allowed);
  access_book open;
  open.enabled = true;
  CHECK(ask_ingest(open, stranger) == verdict::not_authenticated);
  CHECK(ask_ingest(open, known) == verdict::allowed);
  open.write_only = true;
  CHECK(ask_ingest(open, stranger) == verdict::not_authenticated);
  CHECK(ask_ingest(book_of("token:a produce orders\n"), known) == verdict::allowed);
  CHECK(ask_ingest(book_of("token:a consume,admin,group *\n"), known) == verdict::not_authorized);
  CHECK(ask_ingest(book_of("token:a produce *\n"), known, 8) == verdict::not_authorized); // unknown
  CHECK(ask_ingest(book_of("token:a produce orders\n"), known, 0) == verdict::not_authorized);
  names.remove(topic_id{7});
  CHECK(ask_ingest(book_of("token:a produce *\n"), known) == verdict::not_authorized);
}

TEST_CASE_METHOD(fixture, "the topic a request is about is named, by name or by id") {
  access_book open;
  open.enabled = true;
  std::string topic;
  for (const auto& [code, needed] : table)
    if (needed != needs::nothing && needed != needs::knowing) {
      topic.clear();
      CHECK(judge_request(open, known, code, payload_of(code), names, topic) == verdict::allowed);
      CHECK(topic == "orders");
    }
  CHECK(judge_request(open, known, command::describe_topic, bytes_of(R"({"id":7})"), names,
                      topic) == verdict::allowed);
  CHECK(topic == "orders");
  // What cannot be read is let through to be refused there; it can do nothing.
  const auto rules = book_of("token:b all *\n");
  CHECK(judge_request(rules, known, command::set_topic, bytes_of("{"), names, topic) ==
        verdict::allowed);
  CHECK(judge_request(rules, known, command::fetch, bytes_of("abc"), names, topic) ==
        verdict::allowed);
}

} // namespace lance::actors
