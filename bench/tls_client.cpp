#include "bench/tls_client.hpp"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "bench/measured.hpp"

namespace lance::bench {

namespace {

[[noreturn]] void give_up_tls(const std::string& deed) {
  const auto code = ERR_peek_last_error();
  const auto* reason = ERR_reason_error_string(code);
  give_up(deed + ": " + (reason != nullptr ? reason : "the connection ended"));
}

std::shared_ptr<SSL_CTX> fresh(const SSL_METHOD* method) {
  std::shared_ptr<SSL_CTX> context{SSL_CTX_new(method), SSL_CTX_free};
  if (!context)
    give_up_tls("SSL_CTX_new");
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  return context;
}

} // namespace

tls_setup tls_setup::client(const std::string& ca) {
  auto context = fresh(TLS_client_method());
  if (SSL_CTX_load_verify_locations(context.get(), ca.c_str(), nullptr) != 1)
    give_up_tls("reading " + ca);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return tls_setup{std::move(context)};
}

tls_setup tls_setup::server(const std::string& cert, const std::string& key) {
  auto context = fresh(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(context.get(), cert.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
    give_up_tls("reading " + cert + " and " + key);
  return tls_setup{std::move(context)};
}

struct tls_stream::machine {
  std::shared_ptr<void> context;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl;
  int socket;

  // Returns whether the deed is worth repeating, after having waited for the socket if `patient`.
  bool wants_more(int outcome, bool patient, const char* deed) const {
    const auto error = SSL_get_error(ssl.get(), outcome);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
      give_up_tls(deed);
    pollfd events{socket, static_cast<short>(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0};
    if (patient && ::poll(&events, 1, -1) < 0 && errno != EINTR)
      give_up_errno("poll");
    return patient;
  }
};

tls_stream::tls_stream(const tls_setup& setup, int socket, side which)
    : machine_(new machine{setup.context_,
                           {SSL_new(static_cast<SSL_CTX*>(setup.context_.get())), &SSL_free},
                           socket}) {
  auto* ssl = machine_->ssl.get();
  if (ssl == nullptr || SSL_set_fd(ssl, socket) != 1)
    give_up_tls("SSL_new");
  if (::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK) != 0)
    give_up_errno("O_NONBLOCK");
  if (which == side::client)
    SSL_set_connect_state(ssl);
  else
    SSL_set_accept_state(ssl);
}

tls_stream::~tls_stream() = default;

void tls_stream::shake_hands() {
  for (;;) {
    ERR_clear_error();
    const auto done = SSL_do_handshake(machine_->ssl.get());
    if (done == 1)
      return;
    (void)machine_->wants_more(done, true, "TLS handshake");
  }
}

std::size_t tls_stream::send_some(byte_view bytes) {
  std::size_t sent_in_all = 0;
  while (!bytes.empty()) {
    std::size_t sent = 0;
    ERR_clear_error();
    const auto done = SSL_write_ex(machine_->ssl.get(), bytes.data(), bytes.size(), &sent);
    if (done != 1 && !machine_->wants_more(done, false, "TLS send"))
      break;
    bytes = bytes.subspan(sent);
    sent_in_all += sent;
  }
  return sent_in_all;
}

std::size_t tls_stream::receive_some(byte_span into) {
  std::size_t got = 0;
  ERR_clear_error();
  const auto done = SSL_read_ex(machine_->ssl.get(), into.data(), into.size(), &got);
  if (done != 1)
    (void)machine_->wants_more(done, false, "TLS receive");
  return got;
}

void tls_stream::say_good_bye() {
  ERR_clear_error();
  if (SSL_shutdown(machine_->ssl.get()) < 0)
    give_up_tls("TLS good-bye");
}

void tls_stream::await_good_bye() {
  auto* ssl = machine_->ssl.get();
  for (;;) {
    char one = 0;
    ERR_clear_error();
    const auto got = SSL_read(ssl, &one, 1);
    if (got > 0)
      give_up("a good-bye was expected, and something else came");
    if (SSL_get_error(ssl, got) == SSL_ERROR_ZERO_RETURN)
      return;
    (void)machine_->wants_more(got, true, "waiting for a good-bye");
  }
}

bool tls_stream::holds_plaintext() const noexcept {
  return SSL_has_pending(machine_->ssl.get()) == 1;
}

} // namespace lance::bench
