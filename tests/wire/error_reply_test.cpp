#include "wire/error_reply.hpp"

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"
#include "tests/wire/vectors.hpp"

using namespace lance;
using namespace lance::wire;
using namespace lance::wire::test;

TEST_CASE("our own errors come back as they were made") {
  for (unsigned value = 0x01; value <= 0x12; ++value) {
    const auto code = static_cast<errc>(value);
    const auto made = error_text(code, "something happened: twice");
    const auto read = parse_error(made);
    CHECK(read.code == code);
    CHECK(read.sentence == "something happened: twice");
  }
  CHECK(error_text(errc::topic_not_found) == "TOPIC_NOT_FOUND: topic not found");
}

TEST_CASE("codes that stay inside leave as INTERNAL") {
  CHECK(error_text(errc::io_failed) == "INTERNAL: input or output failed");
}

TEST_CASE("a redirect names the leader") {
  const auto payload = frame_payload("error_not_leader");
  CHECK(not_leader_text("127.0.0.1:1992") == as_text(payload));
  const auto read = parse_error(as_text(payload));
  CHECK(read.code == errc::not_leader);
  CHECK(read.leader == "127.0.0.1:1992");
  CHECK(read.retriable());

  CHECK(not_leader_text("") == "NOT_LEADER: leader unknown");
  CHECK(parse_error("NOT_LEADER: leader unknown").leader.empty());
}

TEST_CASE("the published server's sentences are understood") {
  const auto code = [](std::string_view sentence) { return parse_error(sentence).code; };
  const auto payload = frame_payload("error_topic_not_found");
  CHECK(code(as_text(payload)) == errc::topic_not_found);
  CHECK(code("Topic name required") == errc::invalid_name);
  CHECK(code("Topic 'a' already exists") == errc::topic_exists);
  CHECK(code("Invalid data: topic name 'a b'") == errc::invalid_name);
  CHECK(code("Topic not found") == errc::topic_not_found);
  CHECK(code("Configuration error: Topic 7 not found") == errc::topic_not_found);
  CHECK(code("Unknown topic") == errc::topic_not_found);
  CHECK(code("Topic 7 not found") == errc::topic_not_found);
  for (const auto* sentence :
       {"Invalid subscribe payload", "Invalid unsubscribe payload", "Invalid commit offset payload",
        "Invalid set retention payload", "Invalid create topic payload", "Invalid payload length",
        "Fetch request payload required", "Protocol error: Fetch request payload too small"})
    CHECK(code(sentence) == errc::invalid_request);
  CHECK(code("Rate limit exceeded") == errc::throttled);
  CHECK(code("Authentication required") == errc::not_authenticated);
  CHECK(code("Invalid client command") == errc::unsupported);
  CHECK(code("FORWARD_FAILED: Unknown topic 5") == errc::forward_failed);
  CHECK(code("Error: FORWARD_FAILED while busy") == errc::forward_failed);
  CHECK(code("something else") == errc::internal);
  CHECK(code("SOMETHING_NEW: that we do not know") == errc::internal);
  CHECK(code("") == errc::internal);
  CHECK(code(": ") == errc::internal);
  CHECK(parse_error("something else").sentence == "something else");
}

TEST_CASE("only transient errors are retriable") {
  CHECK(parse_error("FORWARD_FAILED: Quorum not reached").retriable());
  CHECK(parse_error("THROTTLED: slow down").retriable());
  CHECK_FALSE(parse_error("TOPIC_NOT_FOUND: no").retriable());
  CHECK_FALSE(parse_error("NOT_AUTHORIZED: no").retriable());
}

TEST_CASE("long sentences are cut between characters") {
  std::string sentence = "x";
  while (sentence.size() < 2 * error_text_bytes_max)
    sentence += "\xc3\xa9"; // e with acute accent
  const auto text = error_text(errc::internal, sentence);
  CHECK(text.size() <= error_text_bytes_max);
  CHECK(text.size() >= error_text_bytes_max - 1);
  CHECK(text.substr(text.size() - 2) == "\xc3\xa9");
}

TEST_CASE("random texts are parsed within their bounds") {
  random_source random{"error texts"};
  for (int round = 0; round < 20'000; ++round) {
    auto bytes =
        round % 2 == 0 ? random.bytes(random.up_to(40)) : frame_payload("error_not_leader");
    random.mutate(bytes);
    const exact_copy input{bytes};
    const auto read = parse_error(as_text(input.view()));
    REQUIRE(read.sentence.size() + read.leader.size() <= 2 * bytes.size());
  }
}

TEST_CASE("a refusal may say when to try again") {
  CHECK(retry_after_ms("over quota; retry after 250 ms") == 250);
  CHECK(retry_after_ms("retry after 0 ms") == 0);
  for (const auto* text : {"", "retry after ms", "retry after -1 ms", "retry after 5 s", " ms",
                           "retry after 99999999999 ms", "retry after 5 ms or so"})
    CHECK(retry_after_ms(text) == 0);
}
