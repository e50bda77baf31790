#include "actors/http_answers.hpp"

#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace lance::actors {

namespace {

using json = nlohmann::ordered_json;

http_answer reply(int status, const json& body) {
  // A configuration may name paths in any bytes; the probe must not fail over them.
  return {status, "application/json", body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

http_answer live(const health& state) {
  const bool alive = state.alive;
  return reply(alive ? 200 : 503, {{"status", alive ? "alive" : "not_alive"}});
}

http_answer ready(const health& state) {
  const bool ready = state.ready();
  return reply(ready ? 200 : 503, {{"status", ready ? "ready" : "not_ready"},
                                   {"data_plane_ready", state.data_plane()},
                                   {"coordinator_ready", state.coordinator_ready.load()}});
}

http_answer startup(const health& state) {
  if (state.startup_complete)
    return reply(200, {{"status", "started"}});
  json body{{"status", "starting"}};
  if (const auto total = state.logs_to_recover.load(); total > 0) {
    body["logs_recovered"] = state.logs_recovered.load();
    body["logs_to_recover"] = total;
  }
  return reply(503, body);
}

http_answer summary(const health& state) {
  const bool alive = state.alive;
  const bool ready = state.ready();
  const bool started = state.startup_complete;
  return reply(alive && ready && started ? 200 : 503,
               {{"alive", alive},
                {"ready", ready},
                {"data_plane_ready", state.data_plane()},
                {"coordinator_ready", state.coordinator_ready.load()},
                {"startup_complete", started}});
}

http_answer info(const http_providers& providers) {
  return reply(200, {{"version", providers.version},
                     {"build", providers.build},
                     {"uptime_secs", providers.uptime_secs()}});
}

http_answer metrics(const http_providers& providers) {
  return {200, prometheus_content_type, providers.metrics_text()};
}

http_answer switch_ready(health& state, bool on) {
  state.wanted = on;
  return reply(200,
               {{"status", on ? "ready" : "not_ready"}, {"action", on ? "enabled" : "disabled"}});
}

std::string_view word_of(int status) {
  switch (status) {
  case 400:
    return "bad_request";
  case 401:
    return "unauthorized";
  case 403:
    return "forbidden";
  case 404:
    return "not_found";
  case 405:
    return "method_not_allowed";
  case 408:
    return "request_timeout";
  case 411:
    return "bad_length";
  case 413:
  case 414:
  case 431:
    return "request_too_large";
  case 505:
    return "http_version_not_supported";
  default:
    return "internal";
  }
}

http_answer refuse(int status, std::string_view reason) {
  return reply(status, {{"error", word_of(status)}, {"reason", reason}});
}

http_answer show_config(std::string_view status, const http_providers& providers) {
  return reply(200, {{"status", status},
                     {"note", "effective values with their origin"},
                     {"config", providers.config_text()}});
}

// Nothing where the body is no object of texts, numbers and booleans.
std::optional<std::vector<std::pair<std::string, std::string>>> settings_in(std::string_view body) {
  const auto parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object() || parsed.empty())
    return std::nullopt;
  std::vector<std::pair<std::string, std::string>> wanted;
  for (const auto& [path, value] : parsed.items()) {
    if (!value.is_string() && !value.is_number() && !value.is_boolean())
      return std::nullopt;
    wanted.emplace_back(path, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return wanted;
}

http_answer configuration(const http_request& request, const http_providers& providers) {
  const bool changes = request.method == "POST";
  std::string who;
  std::string why;
  if (providers.admit)
    if (const auto status = providers.admit(request.authorization, changes, who, why);
        status != 200)
      return refuse(status, why);
  if (!changes)
    return show_config("ok", providers);
  if (!providers.change)
    return refuse(403, "this node's settings cannot be changed");
  const auto wanted = settings_in(request.body);
  if (!wanted)
    return refuse(400, R"(the body is no JSON object like {"log.level":"debug"})");
  if (const auto wrong = providers.change(*wanted, who); !wrong.empty())
    return refuse(400, wrong);
  return show_config("changed", providers);
}

} // namespace

http_answer answer_health_port(const http_request& request, health& state,
                               const http_providers& providers) {
  const auto [method, path, authorization, body] = request;
  if (path == "/admin/config" && (method == "GET" || method == "POST"))
    return configuration(request, providers);
  if (path == "/admin/ready" && (method == "POST" || method == "DELETE"))
    return switch_ready(state, method == "POST");
  if (method != "GET")
    return answer_error(404);
  if (path == "/health/live")
    return live(state);
  if (path == "/health/ready")
    return ready(state);
  if (path == "/health/startup")
    return startup(state);
  if (path == "/health")
    return summary(state);
  if (path == "/metrics")
    return metrics(providers);
  if (path == "/admin/info")
    return info(providers);
  return answer_error(404);
}

http_answer answer_metrics_port(const http_request& request, const http_providers& providers) {
  if (request.path != "/metrics")
    return answer_error(404);
  if (request.method != "GET")
    return answer_error(405);
  return metrics(providers);
}

http_answer answer_error(int status) {
  return reply(status, {{"error", word_of(status)}});
}

} // namespace lance::actors
