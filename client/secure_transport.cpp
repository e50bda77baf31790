#include "client/secure_transport.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>
#include <vector>

#include "runtime/tls.hpp"
#include "runtime/types.hpp"

namespace lance::client {

using runtime::tls_context;
using runtime::tls_fault;
using runtime::tls_session;
using runtime::tls_state;

namespace {

constexpr std::size_t cipher_bytes = 64 * KiB; // four records each way

class secure_transport final : public transport {
 public:
  secure_transport(std::unique_ptr<transport> line, tls_session session)
      : line_(std::move(line)), session_(std::move(session)), in_(cipher_bytes),
        out_(cipher_bytes) {}

  ~secure_transport() override {
    session_.end(); // a good-bye, if the socket takes it at once
    (void)flush();
  }

  // Until the handshake is over or has failed.
  result<> shake_hands(deadline until) {
    session_.begin();
    for (;;) {
      if (auto flushed = flush(); !flushed)
        return failed(flushed.error());
      if (session_.state() == tls_state::open)
        return {};
      if (session_.state() == tls_state::failed)
        return failed({errc::not_authenticated, 0});
      if (until.passed())
        return fail(errc::timed_out);
      const auto got = take_in({});
      if (!got)
        return failed(got.error());
      if (*got == progress::none)
        if (auto ready = wait(interest::receive, until, -1); !ready)
          return tl::unexpected{ready.error()};
    }
  }
  [[nodiscard]] std::string why() const { return session_.describe_fault(); }
  [[nodiscard]] tls_fault fault() const noexcept { return session_.fault(); }

  result<std::size_t> send(std::span<const byte_view> parts) override {
    std::size_t taken = 0;
    for (const auto& part : parts) {
      byte_view rest = part;
      while (!rest.empty()) {
        if (auto flushed = flush(); !flushed)
          return tl::unexpected{flushed.error()};
        if (out_begin_ < out_end_)
          return taken + (part.size() - rest.size()); // the kernel is full
        encrypt(rest);
        if (session_.state() == tls_state::failed)
          return fail(errc::closed);
      }
      taken += part.size();
    }
    if (auto flushed = flush(); !flushed)
      return tl::unexpected{flushed.error()};
    return taken;
  }

  result<std::size_t> receive(byte_span into) override {
    for (;;) {
      if (auto flushed = flush(); !flushed)
        return tl::unexpected{flushed.error()};
      decrypted_ = 0;
      const auto got = take_in(into);
      if (decrypted_ > 0)
        return decrypted_;
      if (!got)
        return tl::unexpected{got.error()};
      if (session_.state() == tls_state::ended || session_.state() == tls_state::failed)
        return fail(session_.fault() == tls_fault::refused ? errc::not_authenticated
                                                           : errc::closed);
      if (*got == progress::none)
        return std::size_t{0};
    }
  }

  result<readiness> wait(interest in, deadline until, int wake) override {
    const bool wants_receive = in != interest::send;
    if (wants_receive && (more_inside_ || in_begin_ < in_end_))
      return readiness{.receive = true, .send = false, .woken = false};
    const bool stuck = out_begin_ < out_end_;
    auto ready = line_->wait(stuck && in == interest::receive ? interest::both : in, until, wake);
    if (!ready || !stuck)
      return ready;
    if (ready->send)
      if (auto flushed = flush(); !flushed)
        return tl::unexpected{flushed.error()};
    ready->send = ready->send && in != interest::receive && out_begin_ == out_end_;
    return ready;
  }

 private:
  enum class progress : std::uint8_t { none, some };

  result<> failed(const error& what) const {
    // The alert that the peer sent says more than the end of its bytes.
    return fail(session_.state() == tls_state::failed ? errc::not_authenticated : what.code,
                what.system);
  }

  // Decrypts what is here, and what the socket has, into `into`.
  result<progress> take_in(byte_span into) {
    if (in_begin_ == in_end_ && !more_inside_) {
      const auto got = line_->receive(in_);
      if (!got) {
        if (got.error().code == errc::closed)
          session_.peer_ended();
        return tl::unexpected{got.error()};
      }
      in_begin_ = 0;
      in_end_ = *got;
      if (*got == 0)
        return progress::none;
    }
    byte_view cipher{in_.data() + in_begin_, in_end_ - in_begin_};
    decrypted_ = session_.read(cipher, into);
    in_begin_ = in_end_ - cipher.size();
    more_inside_ = !into.empty() && decrypted_ == into.size();
    return progress::some;
  }

  void encrypt(byte_view& plain) {
    out_begin_ = 0;
    out_end_ = session_.write(plain, out_);
  }

  // Hands the socket what waits, the handshake's words too, as far as it takes it.
  result<> flush() {
    for (;;) {
      if (out_begin_ == out_end_) {
        if (!session_.has_output())
          return {};
        byte_view none;
        encrypt(none);
        if (out_begin_ == out_end_)
          return {};
      }
      const std::array parts{byte_view{out_.data() + out_begin_, out_end_ - out_begin_}};
      const auto sent = line_->send(parts);
      if (!sent)
        return tl::unexpected{sent.error()};
      if (*sent == 0)
        return {};
      out_begin_ += *sent;
    }
  }

  std::unique_ptr<transport> line_;
  tls_session session_;
  std::vector<std::byte> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::vector<std::byte> out_;
  std::size_t out_begin_ = 0;
  std::size_t out_end_ = 0;
  std::size_t decrypted_ = 0;
  bool more_inside_ = false; // the last decrypted piece filled the room it had
};

// The files and what was made of them; shared by the copies of a dialer.
class context_source {
 public:
  explicit context_source(tls_options options) : options_(std::move(options)) {}

  outcome<std::shared_ptr<const tls_context>> current() {
    const std::scoped_lock lock{guard_};
    const auto now = stamps();
    if (context_ != nullptr && now == seen_)
      return context_;
    std::string why;
    auto made = tls_context::make_client({.ca = options_.ca,
                                          .cert = options_.cert,
                                          .key = options_.key,
                                          .server_name = options_.server_name},
                                         why);
    if (made) {
      context_ = std::move(*made);
      seen_ = now;
    } else if (context_ == nullptr) {
      return refuse(made.error().code, why);
    } // else half a renewal: the old ones go on until it is whole
    return context_;
  }

 private:
  using stamp = std::pair<std::filesystem::file_time_type, std::uintmax_t>;
  std::array<stamp, 3> stamps() const {
    const auto of = [](const std::string& path) {
      std::error_code fault;
      const auto time = std::filesystem::last_write_time(path, fault);
      return fault ? stamp{} : stamp{time, std::filesystem::file_size(path, fault)};
    };
    return {of(options_.ca), of(options_.cert), of(options_.key)};
  }

  const tls_options options_;
  std::mutex guard_;
  std::shared_ptr<const tls_context> context_;
  std::array<stamp, 3> seen_;
};

} // namespace

std::function<outcome<std::unique_ptr<transport>>(const endpoint&, deadline)>
secure_dialer(tls_options options,
              std::function<outcome<std::unique_ptr<transport>>(const endpoint&, deadline)> plain) {
  auto source = std::make_shared<context_source>(std::move(options));
  return [source, plain = std::move(plain)](const endpoint& where,
                                            deadline until) -> outcome<std::unique_ptr<transport>> {
    auto context = source->current();
    if (!context)
      return tl::unexpected{context.error()};
    auto line = plain(where, until);
    if (!line)
      return tl::unexpected{line.error()};
    auto session = tls_session::connect(std::move(*context), where.host);
    if (!session)
      return tl::unexpected{
          network_failure(session.error(), "preparing an encrypted connection", to_text(where))};
    auto secured = std::make_unique<secure_transport>(std::move(*line), std::move(*session));
    if (auto shaken = secured->shake_hands(until); !shaken) {
      if (shaken.error().code != errc::not_authenticated)
        return tl::unexpected{
            network_failure(shaken.error(), "encrypting the connection", to_text(where))};
      if (secured->fault() == runtime::tls_fault::truncated) // it may just be restarting
        return refuse(errc::closed,
                      "the server ended the connection within the TLS handshake; does it speak TLS "
                      "on this port?",
                      to_text(where));
      return refuse(errc::not_authenticated,
                    "the encrypted connection failed (" +
                        std::string{runtime::name_of(secured->fault())} + "): " + secured->why(),
                    to_text(where));
    }
    return secured;
  };
}

} // namespace lance::client
