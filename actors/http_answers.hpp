// What each HTTP request is answered, without any HTTP: method and path in, status and body out.
// Bodies and codes are those of the operator's surface and do not change; members may be added.
//
//   health port     GET /health/live /health/ready /health/startup /health
//                   GET /metrics /admin/info /admin/config; POST and DELETE /admin/ready
//                   POST /admin/config: {"log.level":"debug","quota.connections":5}, all or
//                   nothing: 200, or {"error":..,"reason":sentence} with 400, 401, 403 anything
//                   else: 404 {"error":"not_found"}
//   metrics port    GET /metrics; another method there: 405 {"error":"method_not_allowed"};
//                   another path: 404 {"error":"not_found"}
//
// Any thread, as far as the providers allow it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/health.hpp"

namespace lance::actors {

/// Where the texts come from. All must be set; each may be called on any thread and by several at
/// once. An exception out of one is a 500 for that request.
struct http_providers {
  std::function<std::string()> metrics_text;  ///< Prometheus text format 0.0.4
  std::function<std::string()> config_text;   ///< the effective configuration, secrets left out
  std::function<std::uint64_t()> uptime_secs; ///< of the process
  std::string version;                        ///< e.g. "0.1.0"
  std::string build;                          ///< e.g. a commit and the kind of build
  /// Whether the bearer of an Authorization header may see or change the configuration, see
  /// live_settings. Not set: everybody may see it and nobody change it.
  std::function<int(std::string_view authorization, bool changes, std::string& who,
                    std::string& why)>
      admit = {};
  /// Empty, or what is wrong with the change.
  std::function<std::string(const std::vector<std::pair<std::string, std::string>>& wanted,
                            const std::string& who)>
      change = {};
};

/// `path` as sent, without the query.
struct http_request {
  std::string_view method;
  std::string_view path;
  std::string_view authorization = {}; ///< the header
  std::string_view body = {};
};

struct http_answer {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string body;
};

inline constexpr std::string_view prometheus_content_type =
    "text/plain; version=0.0.4; charset=utf-8";

/// POST and DELETE /admin/ready change `state.wanted`.
[[nodiscard]] http_answer answer_health_port(const http_request& request, health& state,
                                             const http_providers& providers);
[[nodiscard]] http_answer answer_metrics_port(const http_request& request,
                                              const http_providers& providers);

/// {"error":word} for a request that never became one, e.g. 413.
[[nodiscard]] http_answer answer_error(int status);

} // namespace lance::actors
