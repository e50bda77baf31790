// Method and path of a request to either port: a known status, a body that is what its type says,
// and no path but the operator's own changes anything. The bytes of requests are civetweb's to
// read; session_fuzz.py throws those at a live broker.
//
// Input: the port and what the texts hold, the method up to a space, the path.
#include <string>

#include <nlohmann/json.hpp>

#include "actors/http_answers.hpp"
#include "runtime/types.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

const std::uint64_t allocated_bytes_max = 1 * MiB;

void one_input(byte_view input) {
  decisions choose{input};
  const auto how = choose.byte();
  const auto text = as_text(choose.rest());
  const auto space = text.find(' ');
  const auto method = text.substr(0, space);
  const auto path = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);

  actors::health state;
  state.alive = (how & 2U) != 0;
  state.data_plane_ready = (how & 4U) != 0;
  state.startup_complete = (how & 8U) != 0;
  state.logs_to_recover = how;
  // What a configuration holds may be any bytes, paths among them.
  const actors::http_providers providers{
      .metrics_text = [] { return std::string{"lance_up 1\n"}; },
      .config_text = [&] { return std::string{text}; },
      .uptime_secs = [] { return std::uint64_t{7}; },
      .version = "0",
      .build = std::string{method},
      .admit = [](std::string_view, bool, std::string&, std::string&) { return 200; },
      .change =
          [](const auto& wanted, const std::string&) {
            LANCE_CHECK(!wanted.empty());
            return wanted.front().first;
          }};
  const bool health_port = (how & 1U) == 0;
  const actors::http_request request{method, path, text, text};
  const auto answer = health_port ? actors::answer_health_port(request, state, providers)
                                  : actors::answer_metrics_port(request, providers);
  LANCE_CHECK(answer.status == 200 || answer.status == 400 || answer.status == 404 ||
                  answer.status == 405 || answer.status == 503,
              answer.status);
  if (answer.content_type == actors::prometheus_content_type)
    LANCE_CHECK(answer.body == "lance_up 1\n", answer.status);
  else
    LANCE_CHECK(nlohmann::json::accept(answer.body), answer.status);
  LANCE_CHECK(state.wanted || (health_port && method == "DELETE" && path == "/admin/ready"), how);
  LANCE_CHECK(nlohmann::json::accept(actors::answer_error(how + 300).body), how);
}

} // namespace lance::fuzz
