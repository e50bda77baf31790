// The HTTP ports over real sockets on 127.0.0.1: what well-behaved clients get, and what the others
// cannot do.
#include "actors/http.hpp"

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

using namespace lance;
using namespace lance::actors;
using namespace std::chrono_literals;

namespace {

// A client that sends what it is told.
class raw_client {
 public:
  explicit raw_client(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const auto colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    REQUIRE(inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) == 1);
    const timeval limit{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  }
  ~raw_client() { ::close(socket_); }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;

  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // One response: head and as much body as it announces.
  std::string response() {
    while (received_.find("\r\n\r\n") == std::string::npos)
      if (!more())
        return std::exchange(received_, {});
    const auto head = received_.find("\r\n\r\n") + 4;
    const auto field = received_.find("Content-Length: ");
    REQUIRE(field < head);
    const auto whole = head + std::stoul(received_.substr(field + 16));
    while (received_.size() < whole && more())
      continue;
    auto text = received_.substr(0, whole);
    received_.erase(0, whole);
    return text;
  }

  // True when the server has ended the connection and nothing is left to read.
  bool ended() {
    while (more())
      continue;
    return errno != EAGAIN && errno != EWOULDBLOCK;
  }

  // What is left until the end.
  std::string rest() {
    while (more())
      continue;
    return received_;
  }

 private:
  bool more() {
    char part[4096];
    errno = 0;
    const auto got = ::recv(socket_, part, sizeof part, 0);
    if (got > 0)
      received_.append(part, static_cast<std::size_t>(got));
    return got > 0;
  }

  int socket_;
  std::string received_;
};

struct running {
  health state;
  std::string metrics = "# HELP lance_up one\nlance_up 1\n";
  std::unique_ptr<http_server> server;

  running() {
    state.data_plane_ready = true;
    state.coordinator_ready = true;
    state.startup_complete = true;
    http_providers providers{[this] { return metrics; },
                             []() -> std::string { throw std::runtime_error{"no configuration"}; },
                             [] { return std::uint64_t{5}; }, "0.1.0", "test"};
    std::string explanation;
    auto started = http_server::start({"127.0.0.1:0", "localhost:0"}, state, std::move(providers),
                                      explanation);
    INFO(explanation);
    REQUIRE(started);
    server = std::move(*started);
  }

  [[nodiscard]] std::string ask(std::string_view request) const {
    raw_client client{server->health_address()};
    REQUIRE(client.send(request));
    return client.response();
  }
};

std::string request(std::string_view method, std::string_view path, std::string_view more = "") {
  return std::string{method} + " " + std::string{path} + " HTTP/1.1\r\nHost: x\r\n" +
         std::string{more} + "\r\n";
}

bool begins(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

std::string body_of(const std::string& response) {
  return response.substr(response.find("\r\n\r\n") + 4);
}

} // namespace

TEST_CASE("both ports answer on the addresses they report") {
  running node;
  CHECK(begins(node.server->health_address(), "127.0.0.1:"));
  CHECK(begins(node.server->metrics_address(), "127.0.0.1:"));
  CHECK(node.server->health_address() != node.server->metrics_address());

  const auto live = node.ask(request("GET", "/health/live"));
  CHECK(begins(live, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"));
  CHECK(body_of(live) == R"({"status":"alive"})");

  raw_client scraper{node.server->metrics_address()};
  REQUIRE(scraper.send(request("GET", "/metrics")));
  const auto metrics = scraper.response();
  CHECK(begins(metrics, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; "
                        "charset=utf-8\r\n"));
  CHECK(body_of(metrics) == node.metrics);
  REQUIRE(scraper.send(request("POST", "/metrics")));
  const auto refused = scraper.response();
  CHECK(begins(refused, "HTTP/1.1 405 "));
  CHECK(body_of(refused) == R"({"error":"method_not_allowed"})");
}

TEST_CASE("the state of the moment is what counts") {
  running node;
  CHECK(begins(node.ask(request("GET", "/health/ready")), "HTTP/1.1 200 "));
  node.state.draining = true;
  CHECK(begins(node.ask(request("GET", "/health/ready")), "HTTP/1.1 503 "));
  node.state.draining = false;
  CHECK(begins(node.ask(request("DELETE", "/admin/ready")), "HTTP/1.1 200 "));
  CHECK_FALSE(node.state.wanted);
  CHECK(begins(node.ask(request("GET", "/health/ready?probe=1")), "HTTP/1.1 503 "));
  CHECK(begins(node.ask(request("POST", "/admin/ready", "Content-Length: 2\r\n") + "{}"),
               "HTTP/1.1 200 "));
  CHECK(node.state.wanted);
}

TEST_CASE("a connection is kept for further requests, also pipelined ones") {
  running node;
  raw_client client{node.server->health_address()};
  REQUIRE(client.send(request("GET", "/health/live") + request("GET", "/none") +
                      request("POST", "/admin/ready", "Content-Length: 3\r\n") + "{ }" +
                      request("GET", "/health/startup")));
  CHECK(begins(client.response(), "HTTP/1.1 200 "));
  CHECK(begins(client.response(), "HTTP/1.1 404 "));
  CHECK(body_of(client.response()) == R"({"status":"ready","action":"enabled"})");
  CHECK(body_of(client.response()) == R"({"status":"started"})");

  REQUIRE(client.send(request("GET", "/health/live", "Connection: close\r\n")));
  CHECK(client.response().find("Connection: close") != std::string::npos);
  CHECK(client.ended());
}

TEST_CASE("HEAD gets a head only, and HTTP/1.0 an end") {
  running node;
  raw_client client{node.server->health_address()};
  REQUIRE(client.send("HEAD /health/live HTTP/1.0\r\n\r\n"));
  const auto text = client.rest();
  CHECK(begins(text, "HTTP/1.1 404 "));
  CHECK(body_of(text).empty());
}

TEST_CASE("an exception out of a provider is a 500 for that request") {
  running node;
  const auto answer = node.ask(request("GET", "/admin/config"));
  CHECK(begins(answer, "HTTP/1.1 500 "));
  CHECK(body_of(answer) == R"({"error":"internal"})");
  CHECK(begins(node.ask(request("GET", "/health/live")), "HTTP/1.1 200 "));
}

TEST_CASE("no path leads to a file") {
  running node;
  for (const auto path : {"/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
                          "/etc/passwd", "/health/../health/live", "/.", "/cgi-bin/x"}) {
    const auto answer = node.ask(request("GET", path));
    CHECK(begins(answer, "HTTP/1.1 404 "));
    CHECK(body_of(answer) == R"({"error":"not_found"})");
  }
}

TEST_CASE("what is no request is refused and ends the connection") {
  running node;
  for (const std::string& bytes :
       {std::string{"\r\n\r\n"}, std::string{"GET\r\n\r\n"}, std::string{"GET / HTTP/9.9\r\n\r\n"},
        std::string{"\0\xff\x01 garbage\r\n\r\n", 15}, std::string{"LANC\x01\x04\r\n\r\n"},
        request("GET", "/health/live", "Content-Length: -5\r\n"),
        request("GET", "/health/live", "Transfer-Encoding: strange\r\n")}) {
    raw_client client{node.server->health_address()};
    REQUIRE(client.send(bytes));
    const auto text = client.rest();
    CHECK_FALSE(begins(text, "HTTP/1.1 200 "));
    CHECK(client.ended());
  }
  CHECK(begins(node.ask(request("GET", "/health/live")), "HTTP/1.1 200 "));
}

TEST_CASE("a head without end is refused at its limit") {
  running node;
  raw_client client{node.server->health_address()};
  const std::string field = "X-Filler: " + std::string(1000, 'x') + "\r\n";
  client.send("GET /health/live HTTP/1.1\r\n");
  bool open = true;
  for (int count = 0; open && count < 1000; ++count)
    open = client.send(field);
  CHECK_FALSE(begins(client.rest(), "HTTP/1.1 200 "));
  CHECK(client.ended());
}

TEST_CASE("a large or endless body is not read") {
  running node;
  for (const auto more : {"Content-Length: 1000000000000\r\n", "Transfer-Encoding: chunked\r\n"}) {
    raw_client client{node.server->health_address()};
    REQUIRE(client.send(request("POST", "/admin/ready", more)));
    CHECK(begins(client.response(), "HTTP/1.1 200 "));
    CHECK(client.ended());
  }
}

TEST_CASE("clients who say nothing do not keep the probe waiting") {
  running node;
  std::vector<std::unique_ptr<raw_client>> silent;
  for (int count = 0; count < 3; ++count)
    silent.push_back(std::make_unique<raw_client>(node.server->health_address()));
  silent.push_back(std::make_unique<raw_client>(node.server->metrics_address()));
  std::this_thread::sleep_for(100ms);
  const auto before = std::chrono::steady_clock::now();
  CHECK(begins(node.ask(request("GET", "/health/live")), "HTTP/1.1 200 "));
  CHECK(std::chrono::steady_clock::now() - before < 1500ms);
}

TEST_CASE("more silent clients than threads are put out after their time") {
  running node;
  std::vector<std::unique_ptr<raw_client>> silent;
  for (int count = 0; count < 12; ++count) {
    silent.push_back(std::make_unique<raw_client>(node.server->health_address()));
    silent.back()->send("GET /hea");
  }
  CHECK(begins(node.ask(request("GET", "/health/live")), "HTTP/1.1 200 "));
  for (auto& client : silent)
    CHECK(client->ended());
}

TEST_CASE("a client who drips its body is put out") {
  running node;
  raw_client client{node.server->health_address()};
  REQUIRE(client.send(request("POST", "/admin/ready", "Content-Length: 4000\r\n")));
  const auto before = std::chrono::steady_clock::now();
  while (client.send("x") && std::chrono::steady_clock::now() - before < 8s)
    std::this_thread::sleep_for(50ms);
  CHECK(std::chrono::steady_clock::now() - before < 8s);
}

TEST_CASE("a client who does not read its reply is cut off, others are served") {
  running node;
  node.metrics.assign(64U << 20U, 'm');
  std::vector<std::unique_ptr<raw_client>> deaf;
  for (int count = 0; count < 2; ++count) {
    deaf.push_back(std::make_unique<raw_client>(node.server->metrics_address()));
    deaf.back()->send(request("GET", "/metrics"));
  }
  raw_client scraper{node.server->metrics_address()};
  REQUIRE(scraper.send(request("GET", "/none")));
  CHECK(begins(scraper.response(), "HTTP/1.1 404 "));
}

TEST_CASE("the end does not wait for clients") {
  auto node = std::make_unique<running>();
  raw_client idle{node->server->health_address()};
  raw_client half{node->server->health_address()};
  half.send("GET /health");
  const auto address = node->server->health_address();
  const auto before = std::chrono::steady_clock::now();
  node->server.reset();
  CHECK(std::chrono::steady_clock::now() - before < 5s);
  CHECK(idle.ended());

  std::string explanation;
  const auto again = http_server::start({address, ""}, node->state,
                                        {[] { return std::string{}; }, [] { return std::string{}; },
                                         [] { return std::uint64_t{}; }, "", ""},
                                        explanation);
  REQUIRE(again); // the port is free
  CHECK((*again)->health_address() == address);
  CHECK((*again)->metrics_address().empty());
}

TEST_CASE("addresses that cannot be opened are explained") {
  running node;
  const http_providers providers{[] { return std::string{}; }, [] { return std::string{}; },
                                 [] { return std::uint64_t{}; }, "", ""};
  std::string explanation;
  const auto taken = node.server->metrics_address();
  auto started = http_server::start({"127.0.0.1:0", taken}, node.state, providers, explanation);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::io_failed);
  CHECK(started.error().system == EADDRINUSE);
  CHECK(explanation == "cannot listen on " + taken + ": Address already in use");

  started = http_server::start({"192.0.2.1:0", ""}, node.state, providers, explanation);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::io_failed);
  CHECK(started.error().system == EADDRNOTAVAIL);

  for (const auto text : {"127.0.0.1", "127.0.0.1:", ":8080", "127.0.0.1:65536", "127.0.0.1:80x",
                          "127.0.0.1:-1", "no.such.host.invalid:80", "127.0.0.1:1,127.0.0.1:2"}) {
    started = http_server::start({text, ""}, node.state, providers, explanation);
    REQUIRE_FALSE(started);
    CHECK(started.error().code == errc::bad_config);
    CHECK(explanation.find(text) != std::string::npos);
  }
}
