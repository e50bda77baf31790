// Codes and bodies of the operator's surface.
#include "actors/http_answers.hpp"

#include <catch2/catch.hpp>

using namespace lance::actors;

namespace {

http_providers providers() {
  return {[] { return std::string{"# metrics\n"}; }, [] { return std::string{"[node]\nid = 1\n"}; },
          [] { return std::uint64_t{77}; }, "0.1.0", "abc release"};
}

void serve(health& state) {
  state.data_plane_ready = true;
  state.coordinator_ready = true;
  state.startup_complete = true;
}

void check(const http_answer& answer, int status, std::string_view body) {
  CHECK(answer.status == status);
  CHECK(answer.content_type == "application/json");
  CHECK(answer.body == body);
}

http_answer get(health& state, std::string_view path) {
  return answer_health_port({"GET", path}, state, providers());
}

} // namespace

TEST_CASE("a node that serves") {
  health state;
  serve(state);
  check(get(state, "/health/live"), 200, R"({"status":"alive"})");
  check(get(state, "/health/ready"), 200,
        R"({"status":"ready","data_plane_ready":true,"coordinator_ready":true})");
  check(get(state, "/health/startup"), 200, R"({"status":"started"})");
  check(get(state, "/health"), 200,
        R"({"alive":true,"ready":true,"data_plane_ready":true,"coordinator_ready":true,)"
        R"("startup_complete":true})");
}

TEST_CASE("a node that starts is alive, tells its progress, and is not ready") {
  health state;
  state.coordinator_ready = true;
  check(get(state, "/health/live"), 200, R"({"status":"alive"})");
  check(get(state, "/health/startup"), 503, R"({"status":"starting"})");
  state.logs_to_recover = 8;
  state.logs_recovered = 3;
  check(get(state, "/health/startup"), 503,
        R"({"status":"starting","logs_recovered":3,"logs_to_recover":8})");
  check(get(state, "/health/ready"), 503,
        R"({"status":"not_ready","data_plane_ready":false,"coordinator_ready":true})");
  check(get(state, "/health"), 503,
        R"({"alive":true,"ready":false,"data_plane_ready":false,"coordinator_ready":true,)"
        R"("startup_complete":false})");
}

TEST_CASE("each fact alone makes a node unready") {
  for (auto fact : {&health::data_plane_ready, &health::coordinator_ready, &health::wanted}) {
    health state;
    serve(state);
    state.*fact = false;
    CHECK(get(state, "/health/ready").status == 503);
    CHECK(get(state, "/health").status == 503);
    CHECK(get(state, "/health/live").status == 200);
  }
  health leaving;
  serve(leaving);
  leaving.draining = true;
  check(get(leaving, "/health/ready"), 503,
        R"({"status":"not_ready","data_plane_ready":true,"coordinator_ready":true})");
}

TEST_CASE("a node that is not alive") {
  health state;
  serve(state);
  state.alive = false;
  check(get(state, "/health/live"), 503, R"({"status":"not_alive"})");
  CHECK(get(state, "/health").status == 503);
}

TEST_CASE("the operator's switch") {
  health state;
  serve(state);
  check(answer_health_port({"DELETE", "/admin/ready"}, state, providers()), 200,
        R"({"status":"not_ready","action":"disabled"})");
  CHECK(get(state, "/health/ready").status == 503);
  check(answer_health_port({"POST", "/admin/ready"}, state, providers()), 200,
        R"({"status":"ready","action":"enabled"})");
  CHECK(get(state, "/health/ready").status == 200);
}

TEST_CASE("information, configuration and metrics") {
  health state;
  check(get(state, "/admin/info"), 200,
        R"({"version":"0.1.0","build":"abc release","uptime_secs":77})");
  check(get(state, "/admin/config"), 200,
        R"({"status":"ok","note":"effective values with their origin",)"
        R"("config":"[node]\nid = 1\n"})");
  for (const auto& answer :
       {get(state, "/metrics"), answer_metrics_port({"GET", "/metrics"}, providers())}) {
    CHECK(answer.status == 200);
    CHECK(answer.content_type == "text/plain; version=0.0.4; charset=utf-8");
    CHECK(answer.body == "# metrics\n");
  }
}

TEST_CASE("a configuration with bytes that are no UTF-8 is still JSON") {
  health state;
  auto from = providers();
  from.config_text = [] { return std::string{"data_dir = \"/\xff\"\x01"}; };
  check(answer_health_port({"GET", "/admin/config"}, state, from), 200,
        "{\"status\":\"ok\",\"note\":\"effective values with their origin\","
        "\"config\":\"data_dir = \\\"/\xEF\xBF\xBD\\\"\\u0001\"}");
}

TEST_CASE("everything else is refused") {
  health state;
  for (const auto path : {"", "/", "/health/", "/health/none", "/Health", "/admin", "/admin/ready",
                          "/metrics/", "/../../etc/passwd"})
    check(get(state, path), 404, R"({"error":"not_found"})");
  for (const auto method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS"})
    check(answer_health_port({method, "/health/live"}, state, providers()), 404,
          R"({"error":"not_found"})");
  check(answer_metrics_port({"GET", "/"}, providers()), 404, R"({"error":"not_found"})");
  check(answer_metrics_port({"GET", "/health"}, providers()), 404, R"({"error":"not_found"})");
  for (const auto method : {"POST", "PUT", "DELETE", "HEAD"})
    check(answer_metrics_port({method, "/metrics"}, providers()), 405,
          R"({"error":"method_not_allowed"})");
}

TEST_CASE("settings are changed by a JSON object, or not at all") {
  health state;
  auto from = providers();
  std::vector<std::pair<std::string, std::string>> changed;
  int admitted = 200;
  std::string refused;
  from.admit = [&](std::string_view authorization, bool changes, std::string& who,
                   std::string& why) {
    CHECK(authorization == "Bearer x");
    who = changes ? "changer" : "reader";
    why = "because";
    return admitted;
  };
  from.change = [&](const auto& wanted, const std::string& who) {
    CHECK(who == "changer");
    changed = wanted;
    return refused;
  };
  const auto post = [&](std::string_view body) {
    return answer_health_port({"POST", "/admin/config", "Bearer x", body}, state, from);
  };
  const auto done = post(R"({"log.level":"debug","quota.connections":5,"a.b":true})");
  CHECK(done.status == 200);
  CHECK(done.body.starts_with(R"({"status":"changed",)"));
  using pair = std::pair<std::string, std::string>;
  CHECK(changed ==
        std::vector<pair>{{"log.level", "debug"}, {"quota.connections", "5"}, {"a.b", "true"}});
  refused = "no such key";
  check(post(R"({"a.b":1})"), 400, R"({"error":"bad_request","reason":"no such key"})");
  refused.clear();
  changed.clear();
  for (const auto* body :
       {"", "{", "{}", "[]", "5", R"({"a":[1]})", R"({"a":null})", R"({"a":{}})"})
    CHECK(post(body).status == 400);
  CHECK(changed.empty());
  for (const int status : {401, 403}) {
    admitted = status;
    CHECK(post(R"({"a.b":1})").status == status);
    CHECK(answer_health_port({"GET", "/admin/config", "Bearer x"}, state, from).status == status);
  }
  CHECK(changed.empty());
}
