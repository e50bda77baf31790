#include "actors/live_settings.hpp"

#include <catch2/catch.hpp>

#include "runtime/log.hpp"

using namespace lance;
using namespace lance::actors;

namespace {

struct node {
  explicit node(bool loopback = true)
      : settings(config::load_text("", "l.toml"), access, quotas, clock, loopback) {
    runtime::configure_log(runtime::log_level::off, runtime::log_format::text);
  }
  ~node() { runtime::configure_log(runtime::log_level::info, runtime::log_format::text); }
  std::string change(const std::string& key, const std::string& value) {
    const auto wrong = settings.change({{key, value}}, "a test");
    return wrong;
  }

  runtime::real_clock clock;
  access_source access;
  quota_book quotas;
  live_settings settings;
};

} // namespace

TEST_CASE("quotas change at once, with units, and say where they come from") {
  node it;
  CHECK(it.change("quota.ingest_bytes_per_s", "2MiB").empty());
  CHECK(it.change("quota.connections", "7").empty());
  CHECK(it.quotas.limits() == quota_limits{.ingest_bytes_per_s = 2 * MiB, .connections = 7});
  const auto text = it.settings.text();
  CHECK(text.find("ingest_bytes_per_s = 2097152") != std::string::npos);
  CHECK(text.find("the admin API") != std::string::npos);
}

TEST_CASE("what is wrong in one setting changes none") {
  node it;
  const auto wrong = it.settings.change(
      {{"quota.connections", "7"}, {"quota.fetch_bytes_per_s", "a lot"}}, "a test");
  CHECK(wrong.starts_with("quota.fetch_bytes_per_s takes "));
  CHECK(it.quotas.limits() == quota_limits{});
  CHECK(it.settings.text().find("connections = 7") == std::string::npos);
}

TEST_CASE("only some keys change while the node runs") {
  node it;
  CHECK(it.change("node.id", "3") ==
        "node.id takes effect at a start only; set it in the configuration and restart");
  CHECK(it.change("quota.conections", "3") ==
        "quota.conections is not a key; did you mean quota.connections?");
  CHECK(it.change("", "3") == " is not a key");
  CHECK(it.change("log.level", "loud").starts_with("log.level takes "));
  CHECK(it.change("log.level", "error").empty());
}

TEST_CASE("without authentication changes come from this machine only") {
  std::string who;
  std::string why;
  CHECK(node{true}.settings.admit("", true, who, why) == 200);
  CHECK(node{false}.settings.admit("", false, who, why) == 200);
  CHECK(node{false}.settings.admit("", true, who, why) == 403);
  CHECK(why.find("auth.enabled") != std::string::npos);
}

TEST_CASE("with authentication a token is asked for") {
  node it;
  access_book book;
  book.enabled = true;
  it.access.replace(book);
  std::string who;
  std::string why;
  for (const auto* header : {"", "Basic eDp5", "Bearer", "Bearer ", "Bearer nonsense"})
    for (const bool changes : {false, true})
      CHECK(it.settings.admit(header, changes, who, why) == 401);
}
