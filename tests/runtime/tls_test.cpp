#include "runtime/tls.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <random>

#include <catch2/catch.hpp>

#include "certificates.hpp"
#include "runtime/types.hpp"

namespace lance::runtime {
namespace {

using testing::certificate;
using bytes = std::vector<std::byte>;

struct authority_and_server {
  testing::certificate_directory home;
  certificate ca{home.path, {.name = "ca", .authority = true}};
  certificate server{home.path, {.name = "server"}, &ca};

  [[nodiscard]] tls_server_settings server_settings() const {
    return {.cert = server.cert_path, .key = server.key_path};
  }
  [[nodiscard]] tls_client_settings client_settings() const { return {.ca = ca.cert_path}; }
};

std::int64_t now_s() {
  return static_cast<std::int64_t>(std::time(nullptr));
}

std::shared_ptr<const tls_context> server_of(const tls_server_settings& settings) {
  std::string why;
  auto made = tls_context::make_server(settings, now_s(), why);
  INFO(why);
  REQUIRE(made);
  return *made;
}
std::shared_ptr<const tls_context> client_of(const tls_client_settings& settings) {
  std::string why;
  auto made = tls_context::make_client(settings, why);
  INFO(why);
  REQUIRE(made);
  return *made;
}

// Two ends and the bytes between them, carried in pieces of a chosen size.
struct wire_pair {
  tls_session client;
  tls_session server;
  bytes to_server;
  bytes to_client;
  bytes server_got;
  bytes client_got;
  std::size_t piece = ~std::size_t{0};

  wire_pair(std::shared_ptr<const tls_context> client_context,
            std::shared_ptr<const tls_context> server_context,
            const std::string& host = "localhost")
      : client(tls_session::connect(std::move(client_context), host).value()),
        server(tls_session::accept(std::move(server_context)).value()) {
    client.begin();
  }

  static void say(tls_session& from, byte_view plain, bytes& into) {
    bytes room(20000);
    do {
      const auto some = from.write(plain, room);
      into.insert(into.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(some));
      if (some == 0)
        break;
    } while (!plain.empty() || from.has_output());
  }
  static bool hear(tls_session& to, bytes& from, bytes& got, std::size_t piece) {
    const auto some = std::min(piece, from.size());
    if (some == 0)
      return false;
    byte_view cipher{from.data(), some};
    bytes room(5000);
    for (bool more = true; more;) {
      const auto plain = to.read(cipher, room);
      got.insert(got.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(plain));
      more = plain == room.size();
    }
    REQUIRE(cipher.empty());
    from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(some));
    return true;
  }
  void run() {
    for (bool more = true; more;) {
      say(client, {}, to_server);
      say(server, {}, to_client);
      more = hear(server, to_server, server_got, piece);
      more = hear(client, to_client, client_got, piece) || more;
    }
  }
};

bytes random_bytes(std::size_t size) {
  std::mt19937 source{static_cast<unsigned>(size)};
  bytes made(size);
  for (auto& each : made)
    each = static_cast<std::byte>(source());
  return made;
}

} // namespace

TEST_CASE("bytes cross an encrypted stream unaltered, however it is cut") {
  const authority_and_server given;
  for (const auto version : {tls_version::v1_2, tls_version::v1_3}) {
    auto settings = given.server_settings();
    settings.min_version = version;
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{7}, std::size_t{1000}, std::size_t{100'000}}) {
      wire_pair pair{client_of(given.client_settings()), server_of(settings)};
      pair.piece = piece;
      pair.run();
      REQUIRE(pair.client.state() == tls_state::open);
      REQUIRE(pair.server.state() == tls_state::open);
      const auto there = random_bytes(100'000);
      const auto back = random_bytes(33'333);
      pair.say(pair.client, there, pair.to_server);
      pair.say(pair.server, back, pair.to_client);
      REQUIRE(std::search(pair.to_server.begin(), pair.to_server.end(), there.begin(),
                          there.begin() + 16) == pair.to_server.end());
      pair.run();
      REQUIRE(pair.server_got == there);
      REQUIRE(pair.client_got == back);
      pair.client.end();
      pair.run();
      REQUIRE(pair.server.state() == tls_state::ended);
    }
  }
}

TEST_CASE("a second connection resumes, and not after a reload") {
  const authority_and_server given;
  const auto client = client_of(given.client_settings());
  const auto server = server_of(given.server_settings());
  wire_pair first{client, server};
  first.run();
  REQUIRE_FALSE(first.server.resumed());
  wire_pair second{client, server};
  second.run();
  REQUIRE(second.server.resumed());
  REQUIRE(second.client.resumed());
  wire_pair third{client, server_of(given.server_settings())};
  third.run();
  REQUIRE(third.server.state() == tls_state::open);
  REQUIRE_FALSE(third.server.resumed());
}

TEST_CASE("a client believes only the right server") {
  authority_and_server given;
  const certificate other_ca{given.home.path, {.name = "other-ca", .authority = true}};
  const auto server = server_of(given.server_settings());
  const auto fault_of = [&](const tls_client_settings& settings, const std::string& host,
                            std::shared_ptr<const tls_context> with) {
    wire_pair pair{client_of(settings), std::move(with), host};
    pair.run();
    REQUIRE(pair.client.state() == tls_state::failed);
    REQUIRE(pair.server.state() == tls_state::failed); // told by the client's alert
    REQUIRE(pair.server.fault() == tls_fault::refused);
    return pair.client.fault();
  };
  CHECK(fault_of({.ca = other_ca.cert_path}, "localhost", server) == tls_fault::unknown_issuer);
  CHECK(fault_of(given.client_settings(), "example.org", server) == tls_fault::wrong_host);
  CHECK(fault_of(given.client_settings(), "127.0.0.2", server) == tls_fault::wrong_host);
  const certificate alone{given.home.path, {.name = "alone"}};
  CHECK(fault_of(given.client_settings(), "localhost",
                 server_of({.cert = alone.cert_path, .key = alone.key_path})) ==
        tls_fault::self_signed);
  // The address counts as well as the name, and a name may be given that is not dialled.
  for (const auto* host : {"127.0.0.1", "localhost"}) {
    wire_pair pair{client_of(given.client_settings()), server, host};
    pair.run();
    CHECK(pair.client.state() == tls_state::open);
  }
  wire_pair named{client_of({.ca = given.ca.cert_path, .server_name = "localhost"}), server,
                  "10.0.0.1"};
  named.run();
  CHECK(named.client.state() == tls_state::open);
}

TEST_CASE("a server believes only the right client, and reads who it is") {
  authority_and_server given;
  auto settings = given.server_settings();
  settings.ca = given.ca.cert_path;
  settings.require_client_cert = true;
  const auto server = server_of(settings);
  const auto client_with = [&](const certificate& own) {
    return client_of({.ca = given.ca.cert_path, .cert = own.cert_path, .key = own.key_path});
  };
  const certificate good{
      given.home.path,
      {.name = "orders", .alternatives = "DNS:orders.example,URI:spiffe://shop/orders"},
      &given.ca};
  {
    wire_pair pair{client_with(good), server};
    pair.run();
    REQUIRE(pair.server.state() == tls_state::open);
    const std::vector<std::string> expected{"spiffe://shop/orders", "orders.example"};
    CHECK(pair.server.peer_identities() == expected);
    // The identity survives resumption.
    wire_pair again{client_with(good), server};
    again.run();
    CHECK(again.server.peer_identities() == expected);
  }
  const auto fault_of = [&](std::shared_ptr<const tls_context> client) {
    wire_pair pair{std::move(client), server};
    pair.run();
    REQUIRE(pair.server.state() == tls_state::failed);
    return pair.server.fault();
  };
  CHECK(fault_of(client_of(given.client_settings())) == tls_fault::no_certificate);
  const certificate late{
      given.home.path, {.name = "late", .begins_in_s = -7200, .ends_in_s = -3600}, &given.ca};
  CHECK(fault_of(client_with(late)) == tls_fault::expired);
  const certificate early{
      given.home.path, {.name = "early", .begins_in_s = 3600, .ends_in_s = 7200}, &given.ca};
  CHECK(fault_of(client_with(early)) == tls_fault::not_yet_valid);
  const certificate other_ca{given.home.path, {.name = "other-ca", .authority = true}};
  const certificate stranger{given.home.path, {.name = "stranger"}, &other_ca};
  CHECK(fault_of(client_with(stranger)) == tls_fault::unknown_issuer);
  const certificate alone{given.home.path, {.name = "alone"}};
  CHECK(fault_of(client_with(alone)) == tls_fault::self_signed);

  // Where one is welcome but not asked for, none is fine and a wrong one is not.
  settings.require_client_cert = false;
  const auto lenient = server_of(settings);
  wire_pair none{client_of(given.client_settings()), lenient};
  none.run();
  CHECK(none.server.state() == tls_state::open);
  CHECK(none.server.peer_identities().empty());
  wire_pair wrong{client_with(stranger), lenient};
  wrong.run();
  CHECK(wrong.server.fault() == tls_fault::unknown_issuer);
}

TEST_CASE("versions and suites that do not meet end in an alert") {
  const authority_and_server given;
  auto settings = given.server_settings();
  settings.min_version = tls_version::v1_3;
  settings.ciphersuites = "TLS_AES_256_GCM_SHA384";
  wire_pair pair{client_of(given.client_settings()), server_of(settings)};
  pair.run();
  REQUIRE(pair.server.state() == tls_state::open);
  CHECK(pair.server.version() == "TLSv1.3");
}

TEST_CASE("bytes that are no TLS are known by the first of them") {
  const authority_and_server given;
  auto server = tls_session::accept(server_of(given.server_settings())).value();
  const auto plain = as_bytes(std::string_view{"LANC"});
  byte_view cipher = plain.first(1);
  bytes room(100);
  CHECK(server.read(cipher, room) == 0);
  CHECK(cipher.empty());
  CHECK(server.state() == tls_state::failed);
  CHECK(server.fault() == tls_fault::plaintext);
  CHECK_FALSE(server.has_output());
}

TEST_CASE("a changed record, a cut stream and rubbish are told apart") {
  const authority_and_server given;
  wire_pair pair{client_of(given.client_settings()), server_of(given.server_settings())};
  pair.run();
  pair.say(pair.client, random_bytes(500), pair.to_server);
  pair.to_server[100] ^= std::byte{1};
  pair.run();
  CHECK(pair.server.fault() == tls_fault::bad_record);
  CHECK(pair.server_got.empty());
  CHECK(pair.client.fault() == tls_fault::refused); // by alert

  wire_pair cut{client_of(given.client_settings()), server_of(given.server_settings())};
  cut.run();
  cut.server.peer_ended();
  CHECK(cut.server.fault() == tls_fault::truncated);

  wire_pair polite{client_of(given.client_settings()), server_of(given.server_settings())};
  polite.run();
  polite.client.end();
  polite.run();
  polite.server.peer_ended();
  CHECK(polite.server.state() == tls_state::ended);

  // A record that claims more than a record may hold, in the handshake.
  auto server = tls_session::accept(server_of(given.server_settings())).value();
  const bytes oversize{std::byte{22}, std::byte{3}, std::byte{1}, std::byte{0xff}, std::byte{0xff}};
  byte_view cipher{oversize};
  bytes room(100);
  CHECK(server.read(cipher, room) == 0);
  CHECK(server.state() == tls_state::failed);
  CHECK(server.fault() == tls_fault::bad_record);
}

TEST_CASE("random changes to a handshake never do more than end it") {
  const authority_and_server given;
  const auto client = client_of(given.client_settings());
  const auto server = server_of(given.server_settings());
  std::mt19937 source{1992};
  for (int round = 0; round < 200; ++round) {
    wire_pair pair{client, server};
    pair.say(pair.client, {}, pair.to_server);
    for (auto changes = 1 + source() % 4; changes > 0; --changes)
      pair.to_server[source() % pair.to_server.size()] = static_cast<std::byte>(source());
    pair.hear(pair.server, pair.to_server, pair.server_got, ~std::size_t{0});
    CHECK(pair.server_got.empty());
  }
}

TEST_CASE("what cannot be set up is refused with the key and the remedy") {
  authority_and_server given;
  const certificate other{given.home.path, {.name = "other"}, &given.ca};
  const certificate late{
      given.home.path, {.name = "late", .begins_in_s = -7200, .ends_in_s = -3600}, &given.ca};
  const certificate early{
      given.home.path, {.name = "early", .begins_in_s = 3600, .ends_in_s = 7200}, &given.ca};
  const auto refusal_of = [&](auto change) {
    auto settings = given.server_settings();
    change(settings);
    std::string why;
    const auto made = tls_context::make_server(settings, now_s(), why);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == errc::bad_config);
    return why;
  };
  using Catch::Matchers::Contains;
  CHECK_THAT(refusal_of([](auto& s) { s.cert = ""; }), Contains("tls.key") && Contains("tls.cert"));
  CHECK_THAT(refusal_of([](auto& s) { s.key = ""; }), Contains("tls.cert") && Contains("tls.key"));
  CHECK_THAT(refusal_of([](auto& s) { s.cert = "/no/such"; }), Contains("tls.cert = \"/no/such\""));
  CHECK_THAT(refusal_of([](auto& s) { s.cert = s.key; }), Contains("tls.cert"));
  CHECK_THAT(refusal_of([](auto& s) { s.key = "/no/such"; }), Contains("tls.key = \"/no/such\""));
  CHECK_THAT(refusal_of([](auto& s) { s.key = s.cert; }), Contains("tls.key"));
  CHECK_THAT(refusal_of([&](auto& s) { s.key = other.key_path; }), Contains("tls.key"));
  CHECK_THAT(refusal_of([&](auto& s) {
               s.cert = late.cert_path;
               s.key = late.key_path;
             }),
             Contains("expired"));
  CHECK_THAT(refusal_of([&](auto& s) {
               s.cert = early.cert_path;
               s.key = early.key_path;
             }),
             Contains("not valid yet"));
  CHECK_THAT(refusal_of([](auto& s) { s.ca = "/no/such"; }), Contains("tls.ca"));
  CHECK_THAT(refusal_of([](auto& s) { s.require_client_cert = true; }),
             Contains("tls.require_client_cert") && Contains("tls.ca"));
  CHECK_THAT(refusal_of([](auto& s) { s.ciphers = "NONE-OF-THESE"; }), Contains("tls.ciphers"));
  CHECK_THAT(refusal_of([](auto& s) { s.ciphersuites = "NONE"; }), Contains("tls.ciphersuites"));

  std::string why;
  const auto good = tls_context::make_server(given.server_settings(), now_s(), why);
  REQUIRE(good);
  CHECK((*good)->ends_s() > now_s() + 23 * 3600);
  CHECK((*good)->ends_s() < now_s() + 25 * 3600);
  CHECK_FALSE(tls_context::make_client({.cert = given.server.cert_path}, why));
  CHECK_FALSE(tls_context::make_client({.ca = "/no/such"}, why));
}

TEST_CASE("every fault has a name of its own") {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < tls_faults; ++i)
    names.push_back(name_of(static_cast<tls_fault>(i)));
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  CHECK(std::none_of(names.begin(), names.end(), [](auto each) { return each.empty(); }));
}

} // namespace lance::runtime
