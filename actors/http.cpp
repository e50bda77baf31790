#include "actors/http.hpp"

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <civetweb.h>
#include <netdb.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/check.hpp"
#include "runtime/clock.hpp"
#include "runtime/types.hpp"

namespace lance::actors {

namespace {

// Probes need one thread; the others are there so that clients who connect and say nothing, each
// of whom occupies one for request_timeout_ms, do not keep the probe waiting.
constexpr const char* health_threads = "4";
// One scrape, and a person with curl.
constexpr const char* metrics_threads = "2";
constexpr const char* request_timeout_ms = "2000";
// A connection is closed after the first reply that is older than this: nobody owns a thread.
constexpr std::uint64_t connection_ns = 10 * s_in_ns;
// A reply that the client does not take in this time is cut off, a body is not waited for longer.
constexpr std::uint64_t reply_ns = 10 * s_in_ns;
constexpr std::uint64_t body_ns = 2 * s_in_ns;
// Nothing here wants a body: a small one is read over, a larger one ends the connection.
constexpr long long body_bytes_max = 4096;
// Wakes the accepting thread at the end; it needs one knock, more are for a busy machine.
constexpr int knocks_max = 100;
constexpr std::chrono::milliseconds knock_pause{10};
// A deadline is looked at after so many bytes.
constexpr std::size_t write_bytes = 4096;

// Deadlines of real sockets: no test needs another clock here.
std::uint64_t now_ns() noexcept {
  return runtime::real_clock{}.steady_ns();
}

struct address {
  std::string host; ///< numeric
  std::uint16_t port = 0;
};

std::optional<std::string> resolve_ipv4(const std::string& host) {
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &wanted, &found) != 0)
    return std::nullopt;
  sockaddr_in ipv4{};
  std::memcpy(&ipv4, found->ai_addr, sizeof ipv4);
  freeaddrinfo(found);
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &ipv4.sin_addr, text, sizeof text);
  return text;
}

std::optional<address> parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return std::nullopt;
  address parsed;
  const char* last = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data() + colon + 1, last, parsed.port);
  if (failure != std::errc{} || stop != last)
    return std::nullopt;
  auto host = resolve_ipv4(text.substr(0, colon));
  if (!host)
    return std::nullopt;
  parsed.host = std::move(*host);
  return parsed;
}

// True when somebody still listens there.
bool knock(const address& at) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(at.port);
  inet_pton(AF_INET, at.host.c_str(), &to.sin_addr);
  const int door = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (door < 0)
    return false;
  const bool heard = ::connect(door, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ||
                     errno == EINPROGRESS;
  ::close(door);
  return heard;
}

const char* reason_of(int status) {
  switch (status) {
  case 200:
    return "OK";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 413:
    return "Content Too Large";
  case 503:
    return "Service Unavailable";
  default:
    return status < 500 ? "Bad Request" : "Internal Server Error";
  }
}

// --- one connection, on one of civetweb's threads ----------------------------------------------

void write_all(mg_connection* connection, std::string_view bytes) {
  const auto deadline = now_ns() + reply_ns;
  while (!bytes.empty() && now_ns() < deadline) {
    const auto part = bytes.substr(0, write_bytes);
    const int written = mg_write(connection, part.data(), part.size());
    if (written != static_cast<int>(part.size()))
      break;
    bytes.remove_prefix(part.size());
  }
  if (!bytes.empty())
    mg_disable_connection_keep_alive(connection);
}

// Takes the request's body. True when nothing of it is left on the connection.
bool take_body(mg_connection* connection, const mg_request_info& request, std::string& body) {
  if (mg_get_header(connection, "Transfer-Encoding") != nullptr)
    return false;
  auto left = request.content_length; // -1: no body was announced
  if (left > body_bytes_max)
    return false;
  const auto deadline = now_ns() + body_ns;
  char byte = 0;
  // Byte by byte: civetweb looks at no deadline while a client drips into a larger read.
  for (; left > 0 && now_ns() < deadline && mg_read(connection, &byte, 1) == 1; --left)
    body += byte;
  return left <= 0;
}

bool client_keeps(const mg_connection* connection, const mg_request_info& request) {
  if (const char* wish = mg_get_header(connection, "Connection"))
    return strcasecmp(wish, "keep-alive") == 0;
  return request.http_version != nullptr && std::strcmp(request.http_version, "1.1") == 0;
}

// When the connection began, kept in the pointer that civetweb stores for us.
int remember_begin(const mg_connection*, void** data) {
  *data = reinterpret_cast<void*>(static_cast<std::uintptr_t>(now_ns()));
  return 0;
}

bool old(const mg_connection* connection) {
  const auto begin = reinterpret_cast<std::uintptr_t>(mg_get_user_connection_data(connection));
  return now_ns() - begin > connection_ns;
}

void send(mg_connection* connection, const http_answer& answer, bool keep, bool with_body) {
  if (!keep)
    mg_disable_connection_keep_alive(connection);
  std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " " + reason_of(answer.status);
  text.append("\r\nContent-Type: ").append(answer.content_type);
  text.append("\r\nContent-Length: ").append(std::to_string(answer.body.size()));
  text.append("\r\nCache-Control: no-store\r\nConnection: ").append(keep ? "keep-alive" : "close");
  if (answer.status == 405)
    text.append("\r\nAllow: GET");
  if (answer.status == 401)
    text.append("\r\nWWW-Authenticate: Bearer");
  text.append("\r\n\r\n");
  if (with_body)
    text.append(answer.body);
  write_all(connection, text);
}

} // namespace

// --- one port ----------------------------------------------------------------------------------

class http_server::port {
 public:
  using answerer = std::function<http_answer(const http_request& request)>;

  static result<std::unique_ptr<port>> open(const std::string& at, const char* threads,
                                            answerer answer, std::string& explanation);
  ~port();
  port(const port&) = delete;
  port& operator=(const port&) = delete;

  [[nodiscard]] std::string address_text() const {
    return bound_.host + ":" + std::to_string(bound_.port);
  }

 private:
  explicit port(answerer answer) : answer_(std::move(answer)) {}

  void listen(const address& at, const char* threads);
  [[nodiscard]] http_answer judge(const http_request& request) const;
  [[nodiscard]] int bind_errno() const;

  static int on_request(mg_connection* connection);
  static int on_error(mg_connection* connection, int status, const char* message);
  static int on_log(const mg_connection* connection, const char* message);

  answerer answer_;
  mg_context* context_ = nullptr;
  std::mutex complaint_mutex_;
  std::string complaint_; ///< the first that civetweb had to say
  address bound_;
};

result<std::unique_ptr<http_server::port>> http_server::port::open(const std::string& at,
                                                                   const char* threads,
                                                                   answerer answer,
                                                                   std::string& explanation) {
  const auto parsed = parse_address(at);
  if (!parsed) {
    explanation = "\"" + at + "\" is not an address of the form host:port with an IPv4 host";
    return fail(errc::bad_config);
  }
  std::unique_ptr<port> made{new port{std::move(answer)}};
  made->listen(*parsed, threads);
  if (made->context_ == nullptr) {
    const int number = made->bind_errno();
    explanation = "cannot listen on " + at + ": " +
                  (number != 0 ? std::strerror(number) : "the threads could not be started");
    return fail(errc::io_failed, number);
  }
  return made;
}

void http_server::port::listen(const address& at, const char* threads) {
  static std::once_flag library;
  std::call_once(library, [] { mg_init_library(MG_FEATURES_DEFAULT); });

  const auto listening = at.host + ":" + std::to_string(at.port);
  const char* settings[] = {"listening_ports",
                            listening.c_str(),
                            "num_threads",
                            threads,
                            "request_timeout_ms",
                            request_timeout_ms,
                            "enable_keep_alive",
                            "yes",
                            "keep_alive_timeout_ms",
                            "500",
                            "max_request_size",
                            "16384",
                            "connection_queue",
                            "16", // accepted and waiting for a thread
                            "listen_backlog",
                            "64",
                            "tcp_nodelay",
                            "1",
                            "decode_url",
                            "no",
                            nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = &on_request;
  callbacks.http_error = &on_error;
  callbacks.log_message = &on_log;
  callbacks.init_connection = &remember_begin;
  mg_init_data init{&callbacks, this, settings};

  // The threads inherit the mask: signals are for the main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  context_ = mg_start2(&init, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);

  mg_server_port bound{};
  if (context_ != nullptr && mg_get_server_ports(context_, 1, &bound) == 1)
    bound_ = {at.host, static_cast<std::uint16_t>(bound.port)};
}

http_server::port::~port() {
  if (context_ == nullptr)
    return;
  std::atomic<bool> stopped{false};
  std::thread stopper{[this, &stopped] {
    mg_stop(context_);
    stopped = true;
  }};
  // The accepting thread looks up every two seconds, or when somebody knocks.
  for (int knocks = 0; !stopped && knocks < knocks_max && knock(bound_); ++knocks)
    std::this_thread::sleep_for(knock_pause);
  stopper.join();
}

// civetweb says "cannot bind to <address>: <errno> (<text>)" and keeps the number to itself.
int http_server::port::bind_errno() const {
  const auto bracket = complaint_.rfind(" (");
  const auto colon = complaint_.rfind(": ", bracket);
  if (bracket == std::string::npos || colon == std::string::npos)
    return 0;
  int number = 0;
  std::from_chars(complaint_.data() + colon + 2, complaint_.data() + bracket, number);
  return number;
}

http_answer http_server::port::judge(const http_request& request) const {
  // Above us is C: nothing may be thrown through it.
  try {
    return answer_(request);
  } catch (const std::exception&) {
    return answer_error(500);
  }
}

int http_server::port::on_request(mg_connection* connection) {
  const auto* request = mg_get_request_info(connection);
  const auto& self = *static_cast<const port*>(mg_get_user_data(mg_get_context(connection)));
  const std::string_view method = request->request_method;
  std::string body;
  const bool clean = take_body(connection, *request, body);
  const char* authorization = mg_get_header(connection, "Authorization");
  // HEAD is not among the methods, and its reply has no body whatever it says.
  // A body that was not taken to its end is none.
  const auto answer =
      self.judge({method, request->local_uri_raw, authorization != nullptr ? authorization : "",
                  clean ? std::string_view{body} : std::string_view{}});
  send(connection, answer, clean && client_keeps(connection, *request) && !old(connection),
       method != "HEAD");
  return answer.status;
}

int http_server::port::on_error(mg_connection* connection, int status, const char*) {
  send(connection, answer_error(status), false, true);
  return 0;
}

int http_server::port::on_log(const mg_connection* connection, const char* message) {
  auto& self = *static_cast<port*>(mg_get_user_data(mg_get_context(connection)));
  const std::lock_guard lock{self.complaint_mutex_};
  if (self.complaint_.empty())
    self.complaint_ = message;
  return 1; // what clients do wrong is not worth a line of our log
}

// --- both ports --------------------------------------------------------------------------------

http_server::http_server(health& state, http_providers providers)
    : state_(state), providers_(std::move(providers)) {}

http_server::~http_server() = default;

result<std::unique_ptr<http_server>> http_server::start(const http_addresses& addresses,
                                                        health& state, http_providers providers,
                                                        std::string& explanation) {
  LANCE_CHECK(providers.metrics_text && providers.config_text && providers.uptime_secs);
  std::unique_ptr<http_server> made{new http_server{state, std::move(providers)}};
  auto& self = *made; // its address stays, and the ports end before it
  if (!addresses.health.empty()) {
    auto opened = port::open(
        addresses.health, health_threads,
        [&self](const http_request& request) {
          return answer_health_port(request, self.state_, self.providers_);
        },
        explanation);
    if (!opened)
      return tl::unexpected{opened.error()};
    made->health_port_ = std::move(*opened);
  }
  if (!addresses.metrics.empty()) {
    auto opened = port::open(
        addresses.metrics, metrics_threads,
        [&self](const http_request& request) {
          return answer_metrics_port(request, self.providers_);
        },
        explanation);
    if (!opened)
      return tl::unexpected{opened.error()};
    made->metrics_port_ = std::move(*opened);
  }
  return made;
}

std::string http_server::health_address() const {
  return health_port_ ? health_port_->address_text() : std::string{};
}

std::string http_server::metrics_address() const {
  return metrics_port_ ? metrics_port_->address_text() : std::string{};
}

} // namespace lance::actors
