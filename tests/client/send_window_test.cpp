#include "client/send_window.hpp"

#include <catch2/catch.hpp>

#include "wire/error_reply.hpp"

using namespace lance;
using namespace lance::client;
using verdict = send_window::verdict;

namespace {

struct story {
  send_window window;
  outgoing_topic topic{"t", 0, log_id{1}};
  std::uint64_t sequence = 0;
  std::string text; ///< of the last error reply

  explicit story(std::size_t in_flight = 3, on_unknown rule = on_unknown::resend,
                 bool idempotent = false)
      : window(in_flight, rule, idempotent) {}

  void push(int count) {
    for (int n = 0; n < count; ++n) {
      auto batch = std::make_unique<outgoing_batch>();
      batch->topic = &topic;
      batch->sequence = ++sequence;
      batch->begun_ns = sequence;
      window.push(std::move(batch));
    }
  }
  // Sends what the window allows; the sequences, in order.
  std::vector<std::uint64_t> send() {
    std::vector<std::uint64_t> sent;
    std::uint64_t id = 0;
    while (auto* batch = window.take(id)) {
      batch->sent = true;
      sent.push_back(batch->sequence);
    }
    return sent;
  }
  verdict ack(std::uint64_t id) { return window.on_reply({wire::ack_header(id), {}}, "node"); }
  verdict backpressure() { return window.on_reply({wire::backpressure_header(), {}}, "node"); }
  verdict refuse(const std::string& with) {
    text = with;
    return window.on_reply({wire::control_header(wire::command::error_response), as_bytes(text)},
                           "node");
  }
  std::vector<std::pair<std::uint64_t, fate>> completed() {
    std::vector<std::pair<std::uint64_t, fate>> out;
    for (const auto& done : window.completed())
      out.emplace_back(done.batch->sequence, done.fate);
    window.completed().clear();
    return out;
  }
};

using sequences = std::vector<std::uint64_t>;
using ends = std::vector<std::pair<std::uint64_t, fate>>;

} // namespace

TEST_CASE("no more than the window is in flight, acks are taken in order") {
  story s;
  s.push(5);
  CHECK(s.send() == sequences{1, 2, 3});
  CHECK(s.window.in_flight() == 3);
  CHECK(s.ack(1) == verdict::go_on);
  CHECK(s.send() == sequences{4});
  CHECK(s.ack(2) == verdict::go_on);
  CHECK(s.completed() == ends{{1, fate::acknowledged}, {2, fate::acknowledged}});
}

TEST_CASE("an ack out of order, or for nothing, breaks the connection") {
  story s;
  CHECK(s.ack(1) == verdict::broken);
  s.push(2);
  static_cast<void>(s.send());
  CHECK(s.ack(2) == verdict::broken);
  CHECK(s.completed().empty());
}

TEST_CASE("backpressure means not stored: pause, then again before what came later") {
  story s;
  s.push(4);
  static_cast<void>(s.send()); // 1 2 3
  CHECK(s.backpressure() == verdict::pause);
  CHECK(s.ack(2) == verdict::go_on);
  CHECK(s.backpressure() == verdict::pause); // 3
  CHECK(s.send() == sequences{1, 3, 4});
  CHECK(s.ack(4) == verdict::go_on); // ids go on counting on the connection
}

TEST_CASE("a refusal is told with the server's code, and the next go on") {
  story s;
  s.push(2);
  static_cast<void>(s.send());
  CHECK(s.refuse("TOPIC_NOT_FOUND: gone") == verdict::go_on);
  CHECK(s.topic.stale);
  CHECK(s.ack(2) == verdict::go_on);
  REQUIRE(s.window.completed().size() == 2);
  const auto& refused = s.window.completed()[0];
  CHECK(refused.fate == fate::refused);
  CHECK(*refused.problem == failure{errc::topic_not_found, false, "node", "t", "gone"});
}

TEST_CASE("a server that failed with the batch in hand may have stored it: unknown, not refused") {
  story s;
  s.push(2);
  static_cast<void>(s.send());
  CHECK(s.refuse("INTERNAL: the disk failed") == verdict::go_on);
  CHECK(s.refuse("READ_ONLY: fenced") == verdict::go_on);
  CHECK(s.completed() == ends{{1, fate::unknown}, {2, fate::refused}});
  CHECK(s.send().empty());
}

TEST_CASE("not the leader: again, elsewhere") {
  story s;
  s.push(1);
  static_cast<void>(s.send());
  CHECK(s.refuse(wire::not_leader_text("10.0.0.1:1992")) == verdict::redirect);
  CHECK(s.window.leader() == "10.0.0.1:1992");
  CHECK(s.completed().empty());
  CHECK(s.send() == sequences{1});
}

TEST_CASE("a lost connection: what was sent is sent again in its order, with fresh ids") {
  story s;
  s.push(4);
  static_cast<void>(s.send());
  s.window.on_lost({errc::closed, true, "node", {}, "closed"});
  CHECK(s.completed().empty());
  CHECK(s.window.resent() == 3);
  CHECK(s.send() == sequences{1, 2, 3});
  CHECK(s.ack(1) == verdict::go_on);
}

TEST_CASE("or it is reported as unknown, while what was never wholly sent is sent") {
  story s{3, on_unknown::report};
  s.push(3);
  std::uint64_t id = 0;
  s.window.take(id)->sent = true;
  s.window.take(id)->sent = true;
  REQUIRE(s.window.take(id)); // half of it went out
  s.window.on_lost({errc::closed, true, "node", {}, "closed"});
  REQUIRE(s.window.completed().size() == 2);
  CHECK_FALSE(s.window.completed()[0].problem->retriable);
  CHECK(s.completed() == ends{{1, fate::unknown}, {2, fate::unknown}});
  CHECK(s.send() == sequences{3});
}

TEST_CASE("a quorum that was missed leaves the fate open") {
  story report{3, on_unknown::report};
  report.push(1);
  static_cast<void>(report.send());
  CHECK(report.refuse("FORWARD_FAILED: quorum not reached") == verdict::pause);
  CHECK(report.completed() == ends{{1, fate::unknown}});

  story resend;
  resend.push(1);
  static_cast<void>(resend.send());
  CHECK(resend.refuse("FORWARD_FAILED: quorum not reached") == verdict::pause);
  CHECK(resend.send() == sequences{1});
  CHECK(resend.refuse("TOO_LARGE: no") == verdict::go_on);
  CHECK(resend.completed() == ends{{1, fate::unknown}}); // the first sending may have been stored
}

TEST_CASE("what waits too long is given up, honestly") {
  story s{1};
  s.push(3); // begun at 1, 2, 3
  static_cast<void>(s.send());
  const failure late{errc::timed_out, true, {}, {}, "late"};
  s.window.expire(3, late);
  CHECK(s.completed() == ends{{2, fate::refused}});
  s.window.on_lost(late);
  s.window.expire(2, late);
  CHECK(s.completed() == ends{{1, fate::unknown}});
  s.push(1);
  static_cast<void>(s.send()); // 3
  s.window.abandon(late);
  CHECK(s.completed() == ends{{3, fate::unknown}, {4, fate::refused}});
}

namespace {

struct numbered_story : story {
  numbered_story() : story(3, on_unknown::report, true) {}
  // What the window lets go, as sequence:number.
  std::string sent() {
    std::string out;
    std::uint64_t id = 0;
    while (auto* batch = window.take(id)) {
      batch->sent = true;
      CHECK(batch->number == id);
      out += (out.empty() ? "" : " ") + std::to_string(batch->sequence) + ":" + std::to_string(id);
    }
    return out;
  }
  void lose() { window.on_lost({errc::closed, true, {}, {}, "lost"}); }
};

} // namespace

TEST_CASE_METHOD(numbered_story, "an idempotent producer's batches keep their numbers",
                 "[idempotent]") {
  push(4);
  CHECK(sent() == "1:1 2:2 3:3");
  CHECK(ack(1) == verdict::go_on);
  lose(); // and is sent again, though the rule for others is to report
  CHECK(completed() == ends{{1, fate::acknowledged}});
  CHECK(sent() == "2:2 3:3 4:4");
  CHECK(ack(2) == verdict::go_on);
  CHECK(window.resent() == 2);
  CHECK_FALSE(window.wants_epoch());
}

TEST_CASE_METHOD(numbered_story, "numbers are counted for each topic", "[idempotent]") {
  push(1);
  outgoing_topic other{"u", 0, log_id{2}};
  auto batch = std::make_unique<outgoing_batch>();
  batch->topic = &other;
  batch->sequence = ++sequence;
  window.push(std::move(batch));
  push(1);
  CHECK(sent() == "1:1 2:1 3:2");
}

TEST_CASE_METHOD(numbered_story, "what was refused for now goes in front, with all behind it again",
                 "[idempotent]") {
  push(4);
  CHECK(sent() == "1:1 2:2 3:3");
  CHECK(refuse("THROTTLED: later") == verdict::pause);
  CHECK(refuse("UNKNOWN_PRODUCER: who?") == verdict::go_on); // the first was never taken
  CHECK(refuse("OUT_OF_SEQUENCE: where is 1?") == verdict::go_on);
  CHECK(completed().empty());
  CHECK(sent() == "1:1 2:2 3:3");
  CHECK_FALSE(window.wants_epoch());
}

TEST_CASE_METHOD(numbered_story, "a number given up ends the epoch; what is behind it gets others",
                 "[idempotent]") {
  push(4);
  CHECK(sent() == "1:1 2:2 3:3");
  CHECK(ack(1) == verdict::go_on);
  CHECK(refuse("TOO_LARGE: 2") == verdict::go_on);
  CHECK_FALSE(window.wants_epoch()); // 3 has no answer yet
  CHECK(sent().empty());
  CHECK(refuse("OUT_OF_SEQUENCE: where is 2?") == verdict::go_on);
  CHECK(completed() == ends{{1, fate::acknowledged}, {2, fate::refused}});
  CHECK(sent().empty());
  REQUIRE(window.wants_epoch());
  window.begin_epoch();
  CHECK(window.epoch() == 1);
  CHECK(sent() == "3:1 4:2");
}

TEST_CASE_METHOD(numbered_story, "what may be stored is asked for before the epoch ends",
                 "[idempotent]") {
  push(3);
  CHECK(sent() == "1:1 2:2 3:3");
  lose();
  window.expire(2, {errc::timed_out, true, {}, {}, "late"}); // the first: its fate is unknown
  CHECK(completed() == ends{{1, fate::unknown}});
  push(1);
  CHECK_FALSE(window.wants_epoch());
  CHECK(sent() == "2:2 3:3"); // not the new one
  SECTION("they are there") {
    CHECK(ack(2) == verdict::go_on);
    CHECK(ack(3) == verdict::go_on);
    REQUIRE(window.wants_epoch());
    window.begin_epoch();
    CHECK(sent() == "4:1");
  }
  SECTION("they are not") {
    CHECK(refuse("OUT_OF_SEQUENCE: 1?") == verdict::go_on);
    CHECK(refuse("OUT_OF_SEQUENCE: 1?") == verdict::go_on);
    REQUIRE(window.wants_epoch());
    window.begin_epoch();
    CHECK(sent() == "2:1 3:2 4:3");
  }
}

TEST_CASE_METHOD(numbered_story, "acknowledged batches that the server has lost are told once",
                 "[idempotent]") {
  push(4);
  CHECK(sent() == "1:1 2:2 3:3");
  CHECK(ack(1) == verdict::go_on);
  CHECK(refuse("OUT_OF_SEQUENCE: 1?") == verdict::go_on);
  CHECK(refuse("OUT_OF_SEQUENCE: 1?") == verdict::go_on);
  REQUIRE(window.completed().size() == 2);
  CHECK(window.completed()[1].problem->code == errc::out_of_sequence);
  CHECK(completed()[1] == std::pair{std::uint64_t{2}, fate::refused});
  REQUIRE(window.wants_epoch());
  window.begin_epoch();
  CHECK(sent() == "3:1 4:2");
}

TEST_CASE_METHOD(numbered_story, "a producer forgotten for its long silence begins anew",
                 "[idempotent]") {
  push(1);
  CHECK(sent() == "1:1");
  CHECK(ack(1) == verdict::go_on);
  push(1);
  CHECK(sent() == "2:2");
  CHECK(refuse("UNKNOWN_PRODUCER: who?") == verdict::go_on);
  REQUIRE(window.wants_epoch());
  window.begin_epoch();
  CHECK(sent() == "2:1");
  // But not what may be stored already.
  push(1);
  CHECK(ack(1) == verdict::go_on);
  CHECK(sent() == "3:2");
  lose();
  CHECK(sent() == "3:2");
  CHECK(refuse("UNKNOWN_PRODUCER: who?") == verdict::go_on);
  CHECK(completed().back() == std::pair{std::uint64_t{3}, fate::unknown});
}

TEST_CASE_METHOD(numbered_story, "who is fenced off says so to everybody, and sends nothing more",
                 "[idempotent]") {
  push(5);
  CHECK(sent() == "1:1 2:2 3:3");
  CHECK(refuse("FENCED: a later epoch") == verdict::go_on);
  CHECK(refuse("FENCED: a later epoch") == verdict::go_on);
  CHECK(refuse("FENCED: a later epoch") == verdict::go_on);
  push(1);
  CHECK(completed().size() == 6);
  CHECK(sent().empty());
  CHECK_FALSE(window.wants_epoch());
}
