#include "wire/control_json.hpp"

#include <array>

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

namespace {

topic_info events() {
  return {.id = topic_id{1}, .name = "my-events", .created_at = 1'706'918'400, .policy = {}};
}

topic_policy whole_policy() {
  return {.partitions = 3,
          .replicas = 3,
          .mode = ack_mode::l2,
          .durability = durability::fsync,
          .max_age_secs = 604'800,
          .max_bytes = 0};
}

template <class Decode>
errc fault_of(Decode decode, std::string_view payload) {
  const auto decoded = decode(as_bytes(payload));
  REQUIRE_FALSE(decoded);
  return decoded.error().code;
}

partition_info golden_partition() {
  return {.partition = 0,
          .log = log_id{7},
          .start = byte_offset{0},
          .end = byte_offset{4111},
          .durable_end = byte_offset{4096},
          .records = 103,
          .first_record = record_number{0},
          .segments = 1,
          .bytes = 8192,
          .state = "open"};
}

} // namespace

TEST_CASE("a topic without policy is the golden reply") {
  const auto golden = frame_payload("topic_response_created");
  CHECK(encode_topic(events(), topic_form::published) == as_text(golden));
  CHECK(encode_topic(events(), topic_form::extended) == as_text(golden));
  CHECK(decode_topic(golden) == events());
}

TEST_CASE("retention is an object when a policy is set, and no key at all otherwise") {
  auto topic = events();
  CHECK(encode_topic(topic, topic_form::published).find("retention") == std::string::npos);
  topic.policy.max_age_secs = 86'400;
  CHECK(encode_topic(topic, topic_form::published) ==
        R"({"created_at":1706918400,"id":1,"name":"my-events",)"
        R"("retention":{"max_age_secs":86400,"max_bytes":0},"topic_epoch":1})");
  CHECK(encode_topic(topic, topic_form::flat) ==
        R"({"created_at":1706918400,"id":1,"max_age_secs":86400,"max_bytes":0,)"
        R"("name":"my-events","retention":{"max_age_secs":86400,"max_bytes":0},"topic_epoch":1})");
}

TEST_CASE("retention is read from either place, and null is none") {
  const auto nested = decode_topic(as_bytes(R"({"retention":{"max_age_secs":5,"max_bytes":6}})"));
  REQUIRE(nested);
  CHECK(nested->policy.max_age_secs == 5);
  CHECK(nested->policy.max_bytes == 6);
  CHECK(decode_topic(as_bytes(R"({"max_age_secs":5,"max_bytes":6})")) == nested);
  CHECK(decode_topic(as_bytes(R"({"retention":null})"))->policy == topic_policy{});
  CHECK(decode_topic(as_bytes(R"({"max_bytes":6})"))->policy.max_age_secs == 0);
}

TEST_CASE("missing members of a topic are tolerated, wrong ones are not") {
  CHECK(decode_topic(as_bytes("{}")) == topic_info{});
  CHECK(topic_info{}.topic_epoch == 1);
  CHECK(decode_topic(as_bytes(R"({"id":2,"something":"new"})"))->id == topic_id{2});
  for (const auto* bad : {"", "[]", "null", "5", "{", R"({"id":-1})", R"({"id":4294967296})",
                          R"({"id":1.5})", R"({"id":"1"})", R"({"name":5})", R"({"retention":5})",
                          R"({"retention":{"max_bytes":"x"}})", R"({"mode":"L9"})", "{} x"})
    CHECK(fault_of(decode_topic, bad) == errc::invalid_request);
}

TEST_CASE("numbers of 64 bits survive") {
  auto topic = events();
  topic.created_at = ~std::uint64_t{0};
  topic.policy = {.max_age_secs = ~std::uint64_t{0}, .max_bytes = ~std::uint64_t{0} - 1};
  CHECK(decode_topic(as_bytes(encode_topic(topic, topic_form::flat))) == topic);
}

TEST_CASE("topic lists") {
  CHECK(encode_topic_list({}) == R"({"topics":[]})");
  auto other = events();
  other.id = topic_id{2};
  other.policy = whole_policy();
  const std::vector topics{events(), other};
  CHECK(decode_topic_list(as_bytes(encode_topic_list(topics, topic_form::extended))) == topics);
  CHECK(encode_topic_list(topics).find("partitions") == std::string::npos);
  CHECK(fault_of(decode_topic_list, R"({"topics":{}})") == errc::invalid_request);
  CHECK(fault_of(decode_topic_list, R"({"topics":[5]})") == errc::invalid_request);
  CHECK(fault_of(decode_topic_list, R"({"topics":[{"id":"x"}]})") == errc::invalid_request);
}

TEST_CASE("deleted and retention replies") {
  CHECK(encode_deleted(topic_id{5}) == R"({"deleted":5})");
  CHECK(decode_deleted(as_bytes(R"({"deleted":5})")) == topic_id{5});
  const set_retention_request set{topic_id{5}, {1, 2}};
  CHECK(encode_retention_set(set) == R"({"max_age_secs":1,"max_bytes":2,"topic_id":5})");
  CHECK(decode_retention_set(as_bytes(encode_retention_set(set))) == set);
}

TEST_CASE("create topic x has its golden bytes") {
  const topic_change_request request{"orders", whole_policy()};
  const auto golden = R"({"durability":"fsync","max_age_secs":604800,"max_bytes":0,"mode":"L2",)"
                      R"("name":"orders","partitions":3,"replicas":3})";
  CHECK(encode(request) == golden);
  CHECK(decode_create_topic_x(as_bytes(golden)) == request);
  CHECK(decode_set_topic(as_bytes(golden)) == request);

  auto topic = events();
  topic.policy = whole_policy();
  CHECK(encode_topic(topic, topic_form::extended) ==
        R"({"created_at":1706918400,"durability":"fsync","id":1,"max_age_secs":604800,)"
        R"("max_bytes":0,"mode":"L2","name":"my-events","partitions":3,"replicas":3,)"
        R"("retention":{"max_age_secs":604800,"max_bytes":0},"topic_epoch":1})");
  CHECK(decode_topic(as_bytes(encode_topic(topic, topic_form::extended))) == topic);
}

TEST_CASE("a name alone creates a topic, but changes nothing") {
  CHECK(decode_create_topic_x(as_bytes(R"({"name":"a"})")) == topic_change_request{"a", {}});
  CHECK(fault_of(decode_set_topic, R"({"name":"a"})") == errc::invalid_request);
}

TEST_CASE("L3 is the older name of L2") {
  const auto request = decode_set_topic(as_bytes(R"({"name":"a","mode":"L3"})"));
  REQUIRE(request);
  CHECK(request->policy.mode == ack_mode::l2);
}

TEST_CASE("topic requests out of bounds are refused") {
  for (const auto* bad :
       {R"({"name":"a","partitions":0})", R"({"name":"a","partitions":1025})",
        R"({"name":"a","replicas":0})", R"({"name":"a","replicas":10})",
        R"({"name":"a","replicas":4294967297})", R"({"name":"a","mode":"L0"})",
        R"({"name":"a","mode":2})", R"({"name":"a","durability":"none"})",
        R"({"name":"a","max_bytes":-1})", R"({"name":"a","max_age":"7d"})", R"({"name":5})", "[]"})
    CHECK(fault_of(decode_create_topic_x, bad) == errc::invalid_request);
  CHECK(fault_of(decode_create_topic_x, "{}") == errc::invalid_name);
  CHECK(fault_of(decode_create_topic_x, R"({"name":"a/b"})") == errc::invalid_name);
  CHECK(fault_of(decode_create_topic_x, std::string(json_request_bytes_max + 1, ' ')) ==
        errc::too_large);
}

TEST_CASE("describe topic by name or by id") {
  const describe_topic_request by_name{"orders", topic_id{0}};
  CHECK(encode(by_name) == R"({"name":"orders"})");
  CHECK(decode_describe_topic(as_bytes(encode(by_name))) == by_name);
  const describe_topic_request by_id{"", topic_id{7}};
  CHECK(encode(by_id) == R"({"id":7})");
  CHECK(decode_describe_topic(as_bytes(encode(by_id))) == by_id);
  CHECK(fault_of(decode_describe_topic, "{}") == errc::invalid_request);
  CHECK(fault_of(decode_describe_topic, R"({"name":"a b"})") == errc::invalid_name);
  CHECK(fault_of(decode_describe_topic, R"({"id":7,"verbose":true})") == errc::invalid_request);
}

TEST_CASE("a description has its golden bytes") {
  topic_description description{events(), {golden_partition()}};
  description.topic.policy = {.partitions = 1,
                              .replicas = 1,
                              .mode = ack_mode::l1,
                              .durability = durability::written,
                              .max_age_secs = std::nullopt,
                              .max_bytes = std::nullopt};
  const auto golden = R"({"created_at":1706918400,"durability":"written","id":1,"mode":"L1",)"
                      R"("name":"my-events","partitions":[{"bytes":8192,"durable_end":4096,)"
                      R"("end":4111,"first_record":0,"log_id":7,"partition":0,"records":103,)"
                      R"("segments":1,"start":0,"state":"open"}],"replicas":1,"topic_epoch":1})";
  CHECK(encode(description) == golden);
  CHECK(decode_topic_description(as_bytes(golden)) == description);
  CHECK(fault_of(decode_topic_description, R"({"partitions":5})") == errc::invalid_request);
  CHECK(fault_of(decode_topic_description, R"({"partitions":[{"end":"x"}]})") ==
        errc::invalid_request);
}

TEST_CASE("cluster status is the golden reply") {
  const auto golden = frame_payload("cluster_status_response");
  const cluster_status standalone{.node = node_id{0},
                                  .is_leader = true,
                                  .leader = node_id{0},
                                  .current_term = term{0},
                                  .node_count = 1,
                                  .healthy_nodes = 1,
                                  .quorum_available = true,
                                  .peer_states = {},
                                  .standalone = true};
  CHECK(encode(standalone) == as_text(golden));
  CHECK(decode_cluster_status(golden) == standalone);
}

TEST_CASE("cluster status of a cluster without leader") {
  const cluster_status cluster{
      .node = node_id{2},
      .is_leader = false,
      .leader = std::nullopt,
      .current_term = term{9},
      .node_count = 3,
      .healthy_nodes = 1,
      .quorum_available = false,
      .peer_states = {{1, peer_state::failed}, {3, peer_state::connecting}},
      .standalone = false};
  const auto text = encode(cluster);
  CHECK(text == R"({"current_term":9,"healthy_nodes":1,"is_leader":false,"leader_id":null,)"
                R"("node_count":3,"node_id":2,"peer_states":{"1":"Failed","3":"Connecting"},)"
                R"("quorum_available":false})");
  CHECK(decode_cluster_status(as_bytes(text)) == cluster);
  for (const auto* bad :
       {R"({"peer_states":[]})", R"({"peer_states":{"x":"Failed"}})",
        R"({"peer_states":{"70000":"Failed"}})", R"({"peer_states":{"1":"Gone"}})",
        R"({"peer_states":{"1":1}})", R"({"node_id":65536})", R"({"is_leader":1})"})
    CHECK(fault_of(decode_cluster_status, bad) == errc::invalid_request);
}

TEST_CASE("hello has its golden bytes") {
  const hello_request request{"lnc/0.1.0", {"batches", "lookup"}};
  CHECK(encode(request) == R"({"client":"lnc/0.1.0","features":["batches","lookup"]})");
  CHECK(decode_hello(as_bytes(encode(request))) == request);

  const hello_reply reply{"lance", node_id{1}, "0.1.0", {"batches"}, "io_uring", 16 * MiB};
  CHECK(encode(reply) ==
        R"({"backend":"io_uring","features":["batches"],"limits":{"max_frame_bytes":16777216},)"
        R"("node":1,"server":"lance","version":"0.1.0"})");
  CHECK(decode_hello_reply(as_bytes(encode(reply))) == reply);
}

TEST_CASE("hello is bounded, and newer clients may say more") {
  CHECK(decode_hello(as_bytes(R"({"client":"x","mood":"good"})")) == hello_request{"x", {}});
  CHECK(decode_hello(as_bytes("{}")) == hello_request{});
  const hello_request long_name{std::string(hello_name_bytes_max + 1, 'x'), {}};
  CHECK(fault_of(decode_hello, encode(long_name)) == errc::invalid_request);
  const hello_request many{"x", std::vector<std::string>(hello_features_max + 1, "f")};
  CHECK(fault_of(decode_hello, encode(many)) == errc::invalid_request);
  CHECK(fault_of(decode_hello, R"({"features":[5]})") == errc::invalid_request);
  CHECK(fault_of(decode_hello, "\xff") == errc::invalid_request);
  CHECK(fault_of(decode_hello, "{\"client\":\"\xff\"}") == errc::invalid_request);
}

TEST_CASE("text that is not UTF-8 does not stop an encoder") {
  auto topic = events();
  topic.name = "a\xff";
  CHECK(encode_topic(topic, topic_form::published).find("a\xef\xbf\xbd") != std::string::npos);
}

TEST_CASE("a deeply nested request is refused and costs no stack") {
  const std::string nested = R"({"name":)" + std::string(60'000, '[');
  CHECK(fault_of(decode_create_topic_x, nested) == errc::invalid_request);
  CHECK(fault_of(decode_create_topic_x, nested + std::string(4'000, ']')) == errc::invalid_request);
  const std::string closed =
      R"({"name":)" + std::string(30'000, '[') + std::string(30'000, ']') + "}";
  CHECK(fault_of(decode_create_topic_x, closed) == errc::invalid_request);
}

TEST_CASE("random and mutated JSON is decoded or refused") {
  random_source random{"json mutations"};
  topic_description description{events(), {golden_partition()}};
  description.topic.policy = whole_policy();
  const std::array golden{
      encode(description),
      encode_topic_list({description.topic, events()}, topic_form::extended),
      encode(topic_change_request{"orders", whole_policy()}),
      encode(hello_reply{"lance", node_id{1}, "0.1.0", {"batches"}, "pwritev", 1}),
      encode(hello_request{"lnc", {"a"}}),
      std::string{as_text(frame_payload("cluster_status_response"))},
      encode(describe_topic_request{"", topic_id{7}}),
      encode_deleted(topic_id{5}),
      encode_retention_set({topic_id{5}, {1, 2}})};
  for (int round = 0; round < 5'000; ++round) {
    const auto text = golden[random.up_to(golden.size() - 1)];
    const auto source = as_bytes(text);
    buffer bytes(source.begin(), source.end());
    random.mutate(bytes);
    const exact_copy input{bytes};
    const auto view = input.view();
    if (const auto request = decode_create_topic_x(view))
      REQUIRE(valid_topic_name(request->name));
    if (const auto request = decode_set_topic(view))
      REQUIRE(request->policy != topic_policy{});
    if (const auto request = decode_describe_topic(view))
      REQUIRE((request->name.empty() || valid_topic_name(request->name)));
    if (const auto request = decode_hello(view))
      REQUIRE(request->features.size() <= hello_features_max);
    if (const auto reply = decode_topic_description(view))
      REQUIRE(decode_topic_description(as_bytes(encode(*reply))) == reply);
    if (const auto reply = decode_topic_list(view))
      REQUIRE(decode_topic_list(as_bytes(encode_topic_list(*reply, topic_form::extended))) ==
              reply);
    if (const auto reply = decode_cluster_status(view))
      REQUIRE(decode_cluster_status(as_bytes(encode(*reply))) == reply);
    if (const auto reply = decode_hello_reply(view))
      REQUIRE(decode_hello_reply(as_bytes(encode(*reply))) == reply);
    if (const auto reply = decode_topic(view))
      REQUIRE(decode_topic(as_bytes(encode_topic(*reply, topic_form::extended))) == reply);
    if (const auto reply = decode_deleted(view))
      REQUIRE(decode_deleted(as_bytes(encode_deleted(*reply))) == reply);
    if (const auto reply = decode_retention_set(view))
      REQUIRE(decode_retention_set(as_bytes(encode_retention_set(*reply))) == reply);
  }
}
