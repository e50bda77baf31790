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

  explicit story(std::size_t in_flight = 3, on_unknown rule = on_unknown::resend)
      : window(in_flight, rule) {}

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
