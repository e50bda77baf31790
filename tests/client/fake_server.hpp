// A server made of a script: it accepts on a loopback port chosen by the kernel, or speaks over a
// socket pair, and does with each connection what the test says. It knows frames and nothing else.
// Scripts run on the server's thread: they note what they see, and the test looks at it afterwards.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/connector.hpp"
#include "wire/batch_commands.hpp"
#include "wire/control.hpp"
#include "wire/control_json.hpp"
#include "wire/frame.hpp"
#include "wire/tlv.hpp"

namespace lance::client::testing {

struct seen_frame {
  wire::frame_header header;
  std::vector<std::byte> payload;

  [[nodiscard]] wire::command command() const { return wire::command_of(header); }
  [[nodiscard]] std::string text() const { return std::string{as_text(payload)}; }
};

/// One accepted connection, on the server's side.
class peer {
 public:
  explicit peer(int descriptor) : fd_(descriptor) {}
  ~peer() { close(); }
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;

  /// The next frame; nothing when the client has gone or the server is stopped.
  std::optional<seen_frame> read() {
    while (true) {
      const auto cut = cutter_.next(byte_view{buffer_});
      if (cut.outcome == wire::verdict::ok) {
        seen_frame seen{cut.header, {cut.payload.begin(), cut.payload.end()}};
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(cut.consumed));
        return seen;
      }
      std::array<std::byte, 65536> piece;
      const auto got = fd_ < 0 ? 0 : ::recv(fd_, piece.data(), piece.size(), 0);
      if (got <= 0 || cut.outcome != wire::verdict::need_more)
        return std::nullopt;
      buffer_.insert(buffer_.end(), piece.begin(), piece.begin() + got);
    }
  }

  /// Whether something arrives within the time.
  [[nodiscard]] bool something_within(int ms) const {
    pollfd watched{fd_, POLLIN, 0};
    return !buffer_.empty() || ::poll(&watched, 1, ms) == 1;
  }

  void send(const wire::frame_header& header, byte_view payload = {}) {
    std::vector<std::byte> frame(wire::frame_header_bytes + payload.size());
    wire::encode_frame(header, wire::checksum_kind::iso_hdlc, payload, frame);
    send_bytes(frame);
  }
  void send_bytes(byte_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return;
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
  }
  void ack(const seen_frame& what) { send(wire::ack_header(what.header.batch_id)); }
  void reply(wire::command code, byte_view payload) { send(wire::control_header(code), payload); }
  void reply(wire::command code, const std::string& text) { reply(code, as_bytes(text)); }
  void refuse(const std::string& text) { reply(wire::command::error_response, text); }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }
  void shut_down() const { ::shutdown(fd_, SHUT_RDWR); }

 private:
  int fd_;
  std::vector<std::byte> buffer_;
  wire::frame_cutter cutter_{wire::payload_bytes_max};
};

/// Answers what a client asks before its real work: the list of topics, and hello as LWP v1 does.
/// False: another request.
inline bool answer_topics(peer& to, const seen_frame& asked,
                          const std::vector<wire::topic_info>& topics) {
  if (wire::classify(asked.header) != wire::frame_kind::control)
    return false;
  if (asked.command() == wire::command::hello) {
    to.refuse("Invalid client command");
    return true;
  }
  if (asked.command() != wire::command::list_topics)
    return false;
  to.reply(wire::command::topic_response, wire::encode_topic_list(topics));
  return true;
}

class fake_server {
 public:
  /// Called with each connection and its number from 0, several at the same time.
  using script = std::function<void(peer& from, int number)>;

  explicit fake_server(script deeds) : deeds_(std::move(deeds)), listener_(listen_anywhere()) {
    acceptor_ = std::thread{[this] { accept_all(); }};
  }
  ~fake_server() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard guard{lock_};
      for (const auto& one : peers_)
        one->shut_down();
    }
    for (auto& one : threads_)
      one.join();
    ::close(listener_);
  }
  fake_server(const fake_server&) = delete;
  fake_server& operator=(const fake_server&) = delete;

  [[nodiscard]] endpoint where() const { return {"127.0.0.1", port_}; }
  [[nodiscard]] connection_options options() const {
    connection_options to_here;
    to_here.servers = {where()};
    to_here.request_timeout = std::chrono::seconds{10};
    to_here.connect_timeout = std::chrono::seconds{5};
    to_here.retry.first = std::chrono::milliseconds{2};
    to_here.retry.longest = std::chrono::milliseconds{20};
    to_here.retry.seed = 7;
    return to_here;
  }
  [[nodiscard]] int accepted() const { return accepted_; }

 private:
  int listen_anywhere() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 16) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      std::abort();
    port_ = ntohs(address.sin_port);
    return fd;
  }

  void accept_all() {
    while (true) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0)
        return;
      const int number = accepted_++;
      const std::lock_guard guard{lock_};
      peers_.push_back(std::make_unique<peer>(fd));
      threads_.emplace_back([this, &one = *peers_.back(), number] {
        deeds_(one, number);
        one.shut_down();
      });
    }
  }

  script deeds_;
  std::uint16_t port_ = 0;
  int listener_;
  std::atomic<int> accepted_{0};
  std::mutex lock_;
  std::vector<std::unique_ptr<peer>> peers_;
  std::vector<std::thread> threads_; ///< grows on the acceptor's thread only
  std::thread acceptor_;
};

/// Two ends of a socket pair: the client's as a channel, the server's as a peer.
struct socket_pair {
  std::unique_ptr<channel> client;
  std::unique_ptr<peer> server;

  socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      std::abort();
    client = std::make_unique<channel>(adopt_socket(ends[0]), "pair");
    server = std::make_unique<peer>(ends[1]);
  }
};

/// A BatchesReply of batches whose payloads are given.
struct stored_batch {
  wire::batch_entry entry;
  std::vector<std::byte> payload;
};
inline std::vector<std::byte> batches_reply(byte_offset next, byte_offset end,
                                            const std::vector<stored_batch>& batches) {
  std::vector<std::byte> out;
  const auto add = [&](const auto& bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); };
  add(wire::encode(
      wire::batches_head{next, batches.empty() ? record_number{} : batches[0].entry.first_record,
                         end, static_cast<std::uint32_t>(batches.size())}));
  for (const auto& one : batches)
    add(wire::encode(one.entry));
  for (const auto& one : batches)
    add(one.payload);
  return out;
}

/// What a producer of ours would have sent for these values.
inline std::vector<std::byte> framed(const std::vector<std::string>& values) {
  std::vector<std::byte> out;
  for (const auto& value : values)
    wire::append_record(out, as_bytes(value));
  return out;
}

inline stored_batch batch_of(byte_offset at, record_number first,
                             const std::vector<std::string>& values, std::uint64_t time_ns = 0) {
  stored_batch batch;
  batch.payload = framed(values);
  batch.entry = {at, first, time_ns, static_cast<std::uint32_t>(values.size()),
                 static_cast<std::uint32_t>(batch.payload.size())};
  return batch;
}

inline deadline soon() {
  return deadline::after(std::chrono::seconds{10});
}

} // namespace lance::client::testing
