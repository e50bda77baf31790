#include "client/channel.hpp"

#include <random>

#include <catch2/catch.hpp>

#include "tests/client/fake_server.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::testing;

namespace {

deadline briefly() {
  return deadline::after(std::chrono::milliseconds{20});
}

std::vector<std::byte> encoded(const wire::frame_header& header, byte_view payload = {}) {
  std::vector<std::byte> frame(wire::frame_header_bytes + payload.size());
  wire::encode_frame(header, wire::checksum_kind::iso_hdlc, payload, frame);
  return frame;
}

} // namespace

TEST_CASE("a request is one frame with the zlib sum, its reply the next frame") {
  socket_pair line;
  REQUIRE(line.client->post(wire::control_header(wire::command::create_topic), as_bytes("name"),
                            soon()));
  const auto seen = line.server->read();
  REQUIRE(seen);
  CHECK(seen->command() == wire::command::create_topic);
  CHECK(seen->text() == "name");
  line.server->refuse("TOPIC_EXISTS: there");
  const auto reply = line.client->receive(soon());
  REQUIRE(reply);
  CHECK(reply->is(wire::command::error_response));
  CHECK(as_text(reply->payload) == "TOPIC_EXISTS: there");
}

TEST_CASE("replies may be split at any byte and arrive together") {
  const std::uint64_t seed = 4711;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  socket_pair line;
  std::vector<std::byte> stream;
  std::vector<std::size_t> lengths;
  for (int n = 0; n < 50; ++n) {
    lengths.push_back(random() % 3000);
    const std::vector<std::byte> payload(lengths.back(), std::byte{'p'});
    const auto frame = encoded(wire::control_header(wire::command::topic_response), payload);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  std::thread sender{[&] {
    byte_view rest{stream};
    while (!rest.empty()) {
      const auto piece = rest.first(std::min<std::size_t>(rest.size(), 1 + random() % 500));
      line.server->send_bytes(piece);
      rest = rest.subspan(piece.size());
    }
  }};
  std::vector<std::size_t> got;
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    const auto reply = line.client->receive(soon());
    if (!reply)
      break;
    got.push_back(reply->payload.size());
  }
  sender.join();
  CHECK(got == lengths);
}

TEST_CASE("the largest reply there is can be received") {
  socket_pair line;
  const std::vector<std::byte> payload(wire::batches_reply_bytes_max, std::byte{'z'});
  std::thread sender{[&] { line.server->reply(wire::command::batches_reply, payload); }};
  const auto reply = line.client->receive(soon());
  sender.join();
  REQUIRE(reply);
  CHECK(reply->payload.size() == payload.size());
}

TEST_CASE("a deadline that passes leaves the reply for the next receive") {
  socket_pair line;
  const auto frame = encoded(wire::ack_header(5));
  line.server->send_bytes(byte_view{frame}.first(20));
  const auto late = line.client->receive(briefly());
  REQUIRE_FALSE(late);
  CHECK(late.error().code == errc::timed_out);
  CHECK(late.error().retriable);
  CHECK(late.error().node == "pair");
  line.server->send_bytes(byte_view{frame}.subspan(20));
  const auto reply = line.client->receive(soon());
  REQUIRE(reply);
  CHECK(reply->header.batch_id == 5);
}

TEST_CASE("a server that reads nothing makes sending time out") {
  socket_pair line;
  const std::vector<std::byte> payload(8 * MiB);
  const auto sent = line.client->post(wire::ingest_header(log_id{1}, 1, 0, 1), payload, briefly());
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == errc::timed_out);
}

TEST_CASE("bytes that are no frames, and sums that do not hold, are bad frames") {
  SECTION("another protocol") {
    socket_pair line;
    line.server->send_bytes(as_bytes("HTTP/1.1 400 Bad Request\r\n"));
    const auto reply = line.client->receive(soon());
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == errc::bad_frame);
  }
  SECTION("a damaged payload") {
    socket_pair line;
    auto frame = encoded(wire::control_header(wire::command::topic_response), as_bytes("text"));
    frame.back() ^= std::byte{1};
    line.server->send_bytes(frame);
    CHECK(line.client->receive(soon()).error().code == errc::bad_frame);
  }
  SECTION("a length above every limit") {
    socket_pair line;
    auto header = wire::control_header(wire::command::topic_response);
    header.payload_length = wire::batches_reply_bytes_max + 1;
    std::vector<std::byte> frame(wire::frame_header_bytes);
    wire::encode_header(header, wire::checksum_kind::iso_hdlc, frame.data());
    line.server->send_bytes(frame);
    CHECK(line.client->receive(soon()).error().code == errc::bad_frame);
  }
}

TEST_CASE("a server that goes is told apart from one that is slow") {
  socket_pair line;
  CHECK_FALSE(line.client->stale());
  line.server->close();
  CHECK(line.client->stale());
  CHECK(line.client->receive(soon()).error().code == errc::closed);
}

TEST_CASE("a ping wants a keepalive") {
  socket_pair line;
  std::thread server{[&] {
    const auto asked = line.server->read();
    line.server->send(asked->header);
    static_cast<void>(line.server->read());
    line.server->send(wire::ack_header(0));
  }};
  CHECK(line.client->ping(soon()));
  const auto wrong = line.client->ping(soon());
  server.join();
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code == errc::bad_frame);
}
