#include "client/failure.hpp"

#include <cerrno>

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::client;

TEST_CASE("a server's error reply becomes its code") {
  const auto what = failure_of_reply(as_bytes("TOPIC_NOT_FOUND: topic 7 not found"), "a:1", "t");
  CHECK(what == failure{errc::topic_not_found, false, "a:1", "t", "topic 7 not found"});
  CHECK(failure_of_reply(as_bytes("FORWARD_FAILED: no leader"), "a:1").retriable);
  CHECK(failure_of_reply(as_bytes("THROTTLED: later"), "a:1").retriable);
  CHECK_FALSE(failure_of_reply(as_bytes("READ_ONLY: disk full"), "a:1").retriable);
}

TEST_CASE("the published server's sentences become codes too") {
  CHECK(failure_of_reply(as_bytes("Unknown topic"), "a:1").code == errc::topic_not_found);
  CHECK(failure_of_reply(as_bytes("Invalid client command"), "a:1").code == errc::unsupported);
  CHECK(failure_of_reply(as_bytes("something new"), "a:1").code == errc::internal);
}

TEST_CASE("a failure is told with node, topic and code") {
  const failure refused{errc::read_only, false, "a:1", "t1", "the disk is full"};
  CHECK(to_text(refused) == "a:1: topic 't1': the disk is full (READ_ONLY)");
  const auto lost = network_failure({errc::io_failed, ECONNREFUSED}, "connecting", "a:1");
  CHECK(lost.retriable);
  CHECK(to_text(lost) == "a:1: connecting: Connection refused");
  CHECK(to_text(failure{errc::timed_out, true, {}, {}, {}}) == "timed out");
}

TEST_CASE("a server cannot write to the terminal through its sentence") {
  const failure evil{errc::internal, false, {}, {}, "\x1b[2Jgone\n"};
  CHECK(to_text(evil) == "?[2Jgone? (INTERNAL)");
}

TEST_CASE("only who is throttled is asked to wait, and never for long") {
  using std::chrono::milliseconds;
  const auto wait = [](std::string_view text) {
    return asked_to_wait(failure_of_reply(as_bytes(text), "a:1"));
  };
  CHECK(wait("THROTTLED: over quota; retry after 1500 ms") == milliseconds{1500});
  CHECK(wait("THROTTLED: over quota; retry after 4000000000 ms") == milliseconds{3'600'000});
  CHECK(wait("THROTTLED: later") == milliseconds{0});
  CHECK(wait("INTERNAL: retry after 1500 ms") == milliseconds{0});
}
