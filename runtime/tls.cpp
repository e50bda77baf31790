#include "runtime/tls.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "runtime/check.hpp"
#include "runtime/types.hpp"

namespace lance::runtime {

namespace {

// What may wait for the peer beside application data: the longest certificate chain OpenSSL takes
// is 100 KiB. A peer that makes us say more without reading it is cut off.
constexpr std::size_t output_bytes_max = 128 * KiB;

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* which) const noexcept {
    Free(which);
  }
};
using x509_ptr = std::unique_ptr<X509, freed_by<X509_free>>;
using ssl_ptr = std::unique_ptr<SSL, freed_by<SSL_free>>;
using ssl_ctx_ptr = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using session_ptr = std::unique_ptr<SSL_SESSION, freed_by<SSL_SESSION_free>>;
using names_ptr = std::unique_ptr<GENERAL_NAMES, freed_by<GENERAL_NAMES_free>>;

constexpr std::array<std::string_view, tls_faults> fault_names{
    "none",          "plaintext",      "version",     "cipher",     "no_certificate",  "expired",
    "not_yet_valid", "unknown_issuer", "self_signed", "wrong_host", "bad_certificate", "refused",
    "bad_record",    "renegotiation",  "truncated",   "timed_out",  "internal"};

// The newest entry of the library's queue, in its own words, and the queue left empty: what stays
// there would be taken for the outcome of somebody else's next call.
std::string library_words() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0)
    return "no further reason given";
  const auto* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(ERR_GET_REASON(code));
}

tls_fault fault_of_verification(long verdict) noexcept {
  switch (verdict) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
    return tls_fault::expired;
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return tls_fault::not_yet_valid;
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    return tls_fault::self_signed;
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_CERT_UNTRUSTED:
  case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    return tls_fault::unknown_issuer;
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    return tls_fault::wrong_host;
  default:
    return tls_fault::bad_certificate;
  }
}

tls_fault fault_of_reason(int reason, long verdict) noexcept {
  if (reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
    return tls_fault::version;
  if (reason >= SSL_AD_REASON_OFFSET)
    return tls_fault::refused;
  switch (reason) {
  case SSL_R_HTTP_REQUEST:
  case SSL_R_HTTPS_PROXY_REQUEST:
  case SSL_R_WRONG_VERSION_NUMBER:
    return tls_fault::plaintext;
  case SSL_R_UNSUPPORTED_PROTOCOL:
  case SSL_R_VERSION_TOO_LOW:
  case SSL_R_NO_PROTOCOLS_AVAILABLE:
  case SSL_R_WRONG_SSL_VERSION:
    return tls_fault::version;
  case SSL_R_NO_SHARED_CIPHER:
  case SSL_R_NO_SHARED_GROUPS:
  case SSL_R_NO_SUITABLE_KEY_SHARE:
  case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
  case SSL_R_NO_SUITABLE_GROUPS:
    return tls_fault::cipher;
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    return tls_fault::no_certificate;
  case SSL_R_CERTIFICATE_VERIFY_FAILED:
    return fault_of_verification(verdict);
  case SSL_R_UNEXPECTED_EOF_WHILE_READING:
    return tls_fault::truncated;
  case ERR_R_MALLOC_FAILURE:
    return tls_fault::internal;
  default:
    return tls_fault::bad_record;
  }
}

bool ended(const X509* certificate, std::int64_t now_s) {
  auto now = static_cast<time_t>(now_s);
  return X509_cmp_time(X509_get0_notAfter(certificate), &now) <= 0;
}

bool begun(const X509* certificate, std::int64_t now_s) {
  auto now = static_cast<time_t>(now_s);
  return X509_cmp_time(X509_get0_notBefore(certificate), &now) <= 0;
}

std::int64_t end_of(const X509* certificate) {
  tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1)
    return 0;
  return static_cast<std::int64_t>(::timegm(&parts));
}

// Calls look(certificate) for the own one and those above it; false ends it.
template <class Look>
void each_of_chain(SSL_CTX* context, Look look) {
  const auto* own = SSL_CTX_get0_certificate(context);
  if (own == nullptr || !look(own))
    return;
  STACK_OF(X509)* above = nullptr;
  SSL_CTX_get0_chain_certs(context, &above);
  for (int i = 0; i < sk_X509_num(above); ++i)
    if (!look(static_cast<const X509*>(sk_X509_value(above, i))))
      return;
}

void harden(SSL_CTX* context, tls_version least) {
  SSL_CTX_set_min_proto_version(context,
                                least == tls_version::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Idle connections must not hold two record buffers each.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

result<> refuse(std::string& why, std::string sentence) {
  why = std::move(sentence);
  return fail(errc::bad_config);
}

result<> load_pair(SSL_CTX* context, const std::string& cert, const std::string& key,
                   std::string& why) {
  ERR_clear_error();
  // A key with a pass phrase is refused; without this the library would ask the terminal for it.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return 0; });
  if (SSL_CTX_use_certificate_chain_file(context, cert.c_str()) != 1)
    return refuse(why, "tls.cert = \"" + cert + "\" is no readable certificate chain in PEM (" +
                           library_words() + "): name a file that begins with the own certificate");
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse(why,
                  "tls.key = \"" + key + "\" is no usable private key of tls.cert in PEM (" +
                      library_words() +
                      "): name the key that the certificate was made for, without a pass phrase");
  if (SSL_CTX_check_private_key(context) != 1)
    return refuse(why, "tls.key does not belong to tls.cert (" + library_words() +
                           "): name the key that the certificate was made for");
  return {};
}

result<> load_authorities(SSL_CTX* context, const std::string& path, std::string& why) {
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(context, path.c_str()) != 1)
    return refuse(why, "tls.ca = \"" + path + "\" holds no readable certificates in PEM (" +
                           library_words() + "): name a file of authorities");
  return {};
}

bool is_address(const std::string& host) {
  std::unique_ptr<ASN1_OCTET_STRING, freed_by<ASN1_OCTET_STRING_free>> parsed{
      a2i_IPADDRESS(host.c_str())};
  ERR_clear_error();
  return parsed != nullptr;
}

} // namespace

std::string_view name_of(tls_fault fault) noexcept {
  return fault_names[static_cast<std::size_t>(fault)];
}

// -- context ---------------------------------------------------------------------------------

struct tls_context::handle {
  ssl_ctx_ptr context;
  std::string server_name; // a client's
  // A client's newest ticket. OpenSSL hands it over on whatever thread reads it.
  std::mutex guard;
  session_ptr ticket;

  static int index() {
    static const int mine = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return mine;
  }
  static int keep(SSL* from, SSL_SESSION* fresh) {
    auto* self = static_cast<handle*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(from), index()));
    const std::scoped_lock lock{self->guard};
    self->ticket.reset(fresh);
    return 1; // kept
  }
};

tls_context::tls_context(std::unique_ptr<handle> made) : handle_(std::move(made)) {}
tls_context::~tls_context() = default;

result<std::shared_ptr<const tls_context>>
tls_context::make_server(const tls_server_settings& settings, std::int64_t now_s,
                         std::string& why) {
  auto made = std::make_unique<handle>();
  made->context.reset(SSL_CTX_new(TLS_server_method()));
  auto* context = made->context.get();
  if (context == nullptr)
    return tl::unexpected{refuse(why, "TLS cannot be set up: " + library_words()).error()};
  harden(context, settings.min_version);
  if (settings.cert.empty() || settings.key.empty())
    return tl::unexpected{refuse(why, settings.cert.empty()
                                          ? "tls.key is set without tls.cert: name the certificate"
                                          : "tls.cert is set without tls.key: name its private key")
                              .error()};
  if (settings.require_client_cert && settings.ca.empty())
    return tl::unexpected{
        refuse(why, "tls.require_client_cert needs tls.ca: name the authorities that sign clients")
            .error()};
  if (auto loaded = load_pair(context, settings.cert, settings.key, why); !loaded)
    return tl::unexpected{loaded.error()};
  std::int64_t ends = 0;
  result<> valid;
  each_of_chain(context, [&](const X509* one) {
    if (ended(one, now_s))
      valid = refuse(why, "tls.cert = \"" + settings.cert +
                              "\" has expired: put a renewed certificate in its place");
    else if (!begun(one, now_s))
      valid = refuse(why, "tls.cert = \"" + settings.cert +
                              "\" is not valid yet: check this machine's clock, or wait");
    const auto end = end_of(one);
    ends = ends == 0 ? end : std::min(ends, end);
    return valid.has_value();
  });
  if (!valid)
    return tl::unexpected{valid.error()};
  ERR_clear_error();
  const std::string ciphers{settings.ciphers.empty() ? tls_default_ciphers
                                                     : std::string_view{settings.ciphers}};
  if (SSL_CTX_set_cipher_list(context, ciphers.c_str()) != 1)
    return tl::unexpected{refuse(why, "tls.ciphers = \"" + settings.ciphers +
                                          "\" names no cipher suite of TLS 1.2: leave it empty for "
                                          "the safe default (" +
                                          library_words() + ")")
                              .error()};
  if (!settings.ciphersuites.empty() &&
      SSL_CTX_set_ciphersuites(context, settings.ciphersuites.c_str()) != 1)
    return tl::unexpected{refuse(why, "tls.ciphersuites = \"" + settings.ciphersuites +
                                          "\" names no cipher suite of TLS 1.3: leave it empty for "
                                          "the default (" +
                                          library_words() + ")")
                              .error()};
  if (!settings.ca.empty()) {
    if (auto loaded = load_authorities(context, settings.ca, why); !loaded)
      return tl::unexpected{loaded.error()};
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(settings.ca.c_str()));
    SSL_CTX_set_verify(context,
                       SSL_VERIFY_PEER |
                           (settings.require_client_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       nullptr);
  }
  // Resumption by ticket only: nothing to keep here, and a reload ends all tickets with their keys.
  static constexpr unsigned char id[] = "lance";
  SSL_CTX_set_session_id_context(context, id, sizeof id - 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
  std::shared_ptr<tls_context> ready{new tls_context(std::move(made))};
  ready->ends_s_ = ends;
  return ready;
}

result<std::shared_ptr<const tls_context>>
tls_context::make_client(const tls_client_settings& settings, std::string& why) {
  auto made = std::make_unique<handle>();
  made->context.reset(SSL_CTX_new(TLS_client_method()));
  auto* context = made->context.get();
  if (context == nullptr)
    return tl::unexpected{refuse(why, "TLS cannot be set up: " + library_words()).error()};
  harden(context, settings.min_version);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (settings.ca.empty())
    SSL_CTX_set_default_verify_paths(context);
  else if (auto loaded = load_authorities(context, settings.ca, why); !loaded)
    return tl::unexpected{loaded.error()};
  if (settings.cert.empty() != settings.key.empty())
    return tl::unexpected{
        refuse(why, "tls.cert and tls.key go together: name both or neither").error()};
  if (!settings.cert.empty())
    if (auto loaded = load_pair(context, settings.cert, settings.key, why); !loaded)
      return tl::unexpected{loaded.error()};
  SSL_CTX_set_cipher_list(context, std::string{tls_default_ciphers}.c_str());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(context, &handle::keep);
  SSL_CTX_set_ex_data(context, handle::index(), made.get());
  made->server_name = settings.server_name;
  return std::shared_ptr<const tls_context>{new tls_context(std::move(made))};
}

// -- session ---------------------------------------------------------------------------------

struct tls_session::machine {
  std::shared_ptr<const tls_context> context;
  ssl_ptr ssl;
  byte_view in;                  // ciphertext of the read() under way
  byte_span out;                 // room of the write() under way
  std::size_t out_used = 0;      // of it
  std::vector<std::byte> output; // what waits beside
  bool first_byte_seen = false;
  bool asked_again = false; // for another handshake
  bool server = false;
  bool overflow = false;
  tls_state state = tls_state::handshake;
  tls_fault fault = tls_fault::none;
  std::string words;

  static int bio_read(BIO* bio, char* into, std::size_t size, std::size_t* got) {
    auto* self = static_cast<machine*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (self->in.empty()) {
      BIO_set_retry_read(bio);
      *got = 0;
      return 0;
    }
    *got = std::min(size, self->in.size());
    std::memcpy(into, self->in.data(), *got);
    self->in = self->in.subspan(*got);
    return 1;
  }
  static int bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* put) {
    auto* self = static_cast<machine*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    *put = size;
    if (size <= self->out.size() - self->out_used) {
      std::memcpy(self->out.data() + self->out_used, from, size);
      self->out_used += size;
      return 1;
    }
    if (self->output.size() + size > output_bytes_max) {
      self->overflow = true;
      return 0;
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    self->output.insert(self->output.end(), bytes, bytes + size);
    return 1;
  }
  static long bio_control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }
  static const BIO_METHOD* method() {
    static BIO_METHOD* const mine = [] {
      auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lance");
      BIO_meth_set_read_ex(made, &machine::bio_read);
      BIO_meth_set_write_ex(made, &machine::bio_write);
      BIO_meth_set_ctrl(made, &machine::bio_control);
      return made;
    }();
    return mine;
  }
  static int machine_index() {
    static const int mine = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return mine;
  }
  static void watch(const SSL* ssl, int where, int what) {
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT &&
        (what & 0xff) == SSL_AD_NO_RENEGOTIATION)
      static_cast<machine*>(SSL_get_ex_data(ssl, machine_index()))->asked_again = true;
  }

  bool attach() {
    ERR_clear_error();
    ssl.reset(SSL_new(context->handle_->context.get()));
    auto* bio = ssl != nullptr ? BIO_new(method()) : nullptr;
    if (bio == nullptr)
      return false;
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl.get(), bio, bio);
    SSL_set_ex_data(ssl.get(), machine_index(), this);
    SSL_set_info_callback(ssl.get(), &machine::watch);
    return true;
  }

  void fall(tls_fault why) noexcept {
    if (state == tls_state::failed)
      return;
    state = tls_state::failed;
    fault = why;
  }

  // After a call of the library that did not succeed: true if it only wants more bytes.
  bool goes_on(int returned) {
    if (asked_again) {
      words = "the peer asked for another handshake";
      ERR_clear_error();
      fall(tls_fault::renegotiation);
      return false;
    }
    switch (SSL_get_error(ssl.get(), returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return true;
    case SSL_ERROR_ZERO_RETURN:
      state = tls_state::ended;
      return false;
    default:
      break;
    }
    const auto reason = ERR_GET_REASON(ERR_peek_error());
    const auto verdict = SSL_get_verify_result(ssl.get());
    words = library_words();
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
      words += std::string{": "} + X509_verify_cert_error_string(verdict);
    fall(overflow ? tls_fault::internal : fault_of_reason(reason, verdict));
    return false;
  }

  bool shake_hands() {
    ERR_clear_error();
    const auto done = SSL_do_handshake(ssl.get());
    if (done == 1) {
      state = tls_state::open;
      return true;
    }
    goes_on(done);
    return false;
  }
};

tls_session::tls_session(std::unique_ptr<machine> made) : machine_(std::move(made)) {}
tls_session::tls_session(tls_session&&) noexcept = default;
tls_session& tls_session::operator=(tls_session&&) noexcept = default;
tls_session::~tls_session() = default;

result<tls_session> tls_session::accept(std::shared_ptr<const tls_context> context) {
  auto made = std::make_unique<machine>();
  made->context = std::move(context);
  made->server = true;
  if (!made->attach())
    return fail(errc::internal);
  SSL_set_accept_state(made->ssl.get());
  return tls_session{std::move(made)};
}

result<tls_session> tls_session::connect(std::shared_ptr<const tls_context> context,
                                         const std::string& host) {
  auto made = std::make_unique<machine>();
  made->context = std::move(context);
  if (!made->attach())
    return fail(errc::internal);
  auto* ssl = made->ssl.get();
  auto& from = *made->context->handle_;
  const auto& name = from.server_name.empty() ? host : from.server_name;
  auto* rules = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                             X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  const bool set = is_address(name)
                       ? X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1
                       : X509_VERIFY_PARAM_set1_host(rules, name.c_str(), name.size()) == 1 &&
                             SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                      const_cast<char*>(name.c_str())) == 1;
  if (!set)
    return fail(errc::invalid_request);
  {
    const std::scoped_lock lock{from.guard};
    if (from.ticket != nullptr)
      SSL_set_session(ssl, from.ticket.get());
  }
  SSL_set_connect_state(ssl);
  return tls_session{std::move(made)};
}

std::size_t tls_session::read(byte_view& cipher, byte_span plain) {
  auto& m = *machine_;
  if (!m.first_byte_seen && !cipher.empty()) {
    m.first_byte_seen = true;
    // A record of the handshake, and nothing else, can come first. Said here, because the library
    // would wait for more of what a client without TLS sends.
    if (m.server && cipher.front() != std::byte{22}) {
      m.words = "the first byte is not that of a TLS handshake";
      m.fall(tls_fault::plaintext);
    }
  }
  std::size_t got = 0;
  m.in = cipher;
  if (m.state == tls_state::handshake)
    m.shake_hands();
  while (m.state == tls_state::open && got < plain.size()) {
    ERR_clear_error();
    std::size_t some = 0;
    const auto done = SSL_read_ex(m.ssl.get(), plain.data() + got, plain.size() - got, &some);
    got += some;
    if (m.asked_again || done != 1) {
      m.goes_on(done);
      break;
    }
  }
  cipher = m.state == tls_state::failed ? byte_view{} : m.in;
  m.in = {};
  return got;
}

std::size_t tls_session::write(byte_view& plain, byte_span cipher) {
  auto& m = *machine_;
  LANCE_CHECK(cipher.size() >= record_plain_max + record_overhead_max, cipher.size());
  const auto waiting = std::min(m.output.size(), cipher.size());
  if (waiting > 0)
    std::memcpy(cipher.data(), m.output.data(), waiting);
  m.output.erase(m.output.begin(), m.output.begin() + static_cast<std::ptrdiff_t>(waiting));
  m.out_used = waiting;
  m.out = cipher;
  if (m.output.empty()) {
    m.output.shrink_to_fit(); // handshakes are rare, connections many
    // The peer's good-bye ends its direction only: it still reads.
    while ((m.state == tls_state::open || m.state == tls_state::ended) && !plain.empty()) {
      const auto piece = std::min(plain.size(), record_plain_max);
      if (cipher.size() - m.out_used < piece + record_overhead_max)
        break;
      ERR_clear_error();
      std::size_t taken = 0;
      const auto done = SSL_write_ex(m.ssl.get(), plain.data(), piece, &taken);
      if (done != 1) {
        m.goes_on(done);
        break;
      }
      plain = plain.subspan(taken);
    }
  }
  m.out = {};
  return std::exchange(m.out_used, 0);
}

bool tls_session::has_output() const noexcept {
  return !machine_->output.empty();
}

void tls_session::begin() {
  if (machine_->state == tls_state::handshake)
    machine_->shake_hands();
}

void tls_session::end() {
  ERR_clear_error();
  if (machine_->state == tls_state::open || machine_->state == tls_state::ended)
    SSL_shutdown(machine_->ssl.get());
  ERR_clear_error();
}

void tls_session::peer_ended() {
  if (machine_->state == tls_state::handshake || machine_->state == tls_state::open) {
    machine_->words = "the connection ended without a good-bye";
    machine_->fall(tls_fault::truncated);
  }
}

void tls_session::give_up(tls_fault why) noexcept {
  machine_->fall(why);
}

tls_state tls_session::state() const noexcept {
  return machine_->state;
}
tls_fault tls_session::fault() const noexcept {
  return machine_->fault;
}
std::string tls_session::describe_fault() const {
  return machine_->words.empty() ? std::string{name_of(machine_->fault)} : machine_->words;
}
bool tls_session::resumed() const noexcept {
  return SSL_session_reused(machine_->ssl.get()) == 1;
}
std::string_view tls_session::version() const noexcept {
  return SSL_get_version(machine_->ssl.get());
}

std::vector<std::string> tls_session::peer_identities() const {
  std::vector<std::string> found;
  const x509_ptr certificate{SSL_get1_peer_certificate(machine_->ssl.get())};
  if (certificate == nullptr || SSL_get_verify_result(machine_->ssl.get()) != X509_V_OK)
    return found;
  const names_ptr names{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr))};
  for (const int wanted : {GEN_URI, GEN_DNS})
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
      const auto* name = sk_GENERAL_NAME_value(names.get(), i);
      if (name->type != wanted)
        continue;
      const auto* text = wanted == GEN_URI ? name->d.uniformResourceIdentifier : name->d.dNSName;
      const std::string identity{reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                 static_cast<std::size_t>(ASN1_STRING_length(text))};
      // A zero inside is somebody's try to look like a shorter name.
      if (!identity.empty() && identity.find('\0') == std::string::npos)
        found.push_back(identity);
    }
  ERR_clear_error();
  return found;
}

} // namespace lance::runtime
