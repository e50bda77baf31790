// Encrypted streams: TLS 1.2 and 1.3 over bytes that somebody else carries. The only file pair that
// knows OpenSSL. A tls_session is a plain machine: ciphertext in, plaintext out, and back; no
// socket, no thread, no clock of its own.
//
// What is fixed: no renegotiation, no compression, no anonymous or unencrypted suites, forward
// secrecy always. Certificates carry identity in their subjectAltName only; the subject is not
// read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::runtime {

enum class tls_version : std::uint8_t { v1_2, v1_3 };

/// Why a stream ended otherwise than by its peer's good-bye. Counted by reason.
enum class tls_fault : std::uint8_t {
  none,
  plaintext,       ///< the first bytes are no TLS record
  version,         ///< no common version
  cipher,          ///< no common cipher suite, group or signature
  no_certificate,  ///< the peer must show one and did not
  expired,         ///< its certificate, or one above it, is past its end
  not_yet_valid,   ///< or before its begin
  unknown_issuer,  ///< it leads to no authority known here
  self_signed,     ///< the same, and it vouches for itself
  wrong_host,      ///< it is valid, but for another name
  bad_certificate, ///< anything else that is wrong with it
  refused,         ///< the peer refused us: its alert
  bad_record,      ///< a record that does not decrypt, is too long or is out of order
  renegotiation,   ///< the peer asked for another handshake
  truncated,       ///< the connection ended without a good-bye
  timed_out,       ///< no handshake in time; set by whoever watches the clock
  internal,        ///< ours: out of memory, broken library
};
/// A short word for metrics and logs, e.g. "unknown_issuer".
[[nodiscard]] std::string_view name_of(tls_fault fault) noexcept;
inline constexpr std::size_t tls_faults = static_cast<std::size_t>(tls_fault::internal) + 1;

struct tls_server_settings {
  std::string cert = {}; ///< path of the chain, PEM, own certificate first
  std::string key = {};  ///< path of the private key, PEM
  std::string ca = {};   ///< path of the authorities for clients, PEM; empty: none is asked for
  bool require_client_cert = false; ///< else one that is shown is checked, and none is fine
  tls_version min_version = tls_version::v1_2;
  std::string ciphers = {};      ///< TLS 1.2, OpenSSL's words; empty: the safe default below
  std::string ciphersuites = {}; ///< TLS 1.3, OpenSSL's words; empty: the library's
};

struct tls_client_settings {
  std::string ca = {};          ///< path of the authorities, PEM; empty: the system's
  std::string cert = {};        ///< path of the own chain, PEM; shown when the server asks
  std::string key = {};         ///< path of its private key, PEM; goes with cert
  std::string server_name = {}; ///< empty: the host that is dialled
  tls_version min_version = tls_version::v1_2;
};

/// Only AEAD suites with ephemeral keys.
inline constexpr std::string_view tls_default_ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/// Certificates, key and rules, read once. Unchanging; any thread; shared by the sessions made from
/// it, which keep it alive. Reloading means making another. A client's also keeps the newest ticket
/// of its server, so that the next connection resumes.
class tls_context {
 public:
  /// Errors: bad_config, with a sentence in `why` that names the key (tls.cert, tls.key, ...) and
  /// what to do. `now_s` (Unix time): a certificate that has ended or not begun is refused.
  static result<std::shared_ptr<const tls_context>>
  make_server(const tls_server_settings& settings, std::int64_t now_s, std::string& why);
  static result<std::shared_ptr<const tls_context>> make_client(const tls_client_settings& settings,
                                                                std::string& why);
  ~tls_context();
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;

  /// Unix time at which the first certificate of the own chain ends; 0 when there is none.
  [[nodiscard]] std::int64_t ends_s() const noexcept { return ends_s_; }

 private:
  friend class tls_session;
  struct handle;
  explicit tls_context(std::unique_ptr<handle> made);
  std::unique_ptr<handle> handle_;
  std::int64_t ends_s_ = 0;
};

enum class tls_state : std::uint8_t {
  handshake,
  open,
  ended,  ///< the peer said good-bye
  failed, ///< fault() says why; an alert for the peer may lie in the output
};

/// One end of one stream. One thread at a time.
class tls_session {
 public:
  /// Plaintext of one record, and what a record is longer as ciphertext at most.
  static constexpr std::size_t record_plain_max = 16384;
  static constexpr std::size_t record_overhead_max = 256;

  static result<tls_session> accept(std::shared_ptr<const tls_context> context);
  /// `host` is looked for in the server's certificate unless the settings name another.
  static result<tls_session> connect(std::shared_ptr<const tls_context> context,
                                     const std::string& host);
  tls_session(tls_session&&) noexcept;
  tls_session& operator=(tls_session&&) noexcept;
  ~tls_session();

  /// Takes ciphertext from the front of `cipher` (and shortens it) and puts plaintext at the front
  /// of `plain`; returns how much. As long as that is all of `plain`, there may be more: call
  /// again, even without ciphertext. Less means that all of `cipher` was taken or that the state is
  /// no longer handshake or open. Drives the handshake too.
  [[nodiscard]] std::size_t read(byte_view& cipher, byte_span plain);
  /// Puts what waits in the output into `cipher`, then records of plaintext from the front of
  /// `plain` (which it shortens) while they fit; returns bytes put there. Nothing of `plain` is
  /// taken before the handshake is over. `cipher` has room for a record at least.
  [[nodiscard]] std::size_t write(byte_view& plain, byte_span cipher);
  /// Bytes of handshake, tickets and alerts that wait to be carried to the peer.
  [[nodiscard]] bool has_output() const noexcept;
  /// The client's first word; a server needs none.
  void begin();
  /// Says good-bye: one more alert in the output. Reading goes on.
  void end();
  /// The peer's bytes have ended: truncated, unless it had said good-bye.
  void peer_ended();
  /// The session is no more to be used; an alert is not made.
  void give_up(tls_fault why) noexcept;

  [[nodiscard]] tls_state state() const noexcept;
  [[nodiscard]] tls_fault fault() const noexcept;
  /// A sentence for the log: the library's own words about the fault.
  [[nodiscard]] std::string describe_fault() const;
  [[nodiscard]] bool resumed() const noexcept;
  [[nodiscard]] std::string_view version() const noexcept; ///< "TLSv1.3"
  /// The identities of the peer's verified certificate: its URI and DNS subjectAltNames, as
  /// written, URIs first. Empty when it showed none.
  [[nodiscard]] std::vector<std::string> peer_identities() const;

 private:
  struct machine;
  explicit tls_session(std::unique_ptr<machine> made);
  std::unique_ptr<machine> machine_;
};

} // namespace lance::runtime
