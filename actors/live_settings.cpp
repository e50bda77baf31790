#include "actors/live_settings.hpp"

#include "actors/caller.hpp"
#include "config/keys.hpp"
#include "config/nearest.hpp"
#include "config/print.hpp"
#include "config/values.hpp"
#include "runtime/log.hpp"

namespace lance::actors {

namespace {

bool live(const config::key& key) {
  return key.section == "quota" || (key.section == "log" && key.name == "level");
}

std::vector<std::string> live_paths() {
  std::vector<std::string> paths;
  for (const auto& key : config::keys())
    if (live(key))
      paths.push_back(key.path());
  return paths;
}

} // namespace

quota_limits quota_limits_of(const config::quota_section& quota) {
  return {quota.ingest_bytes_per_s, quota.fetch_bytes_per_s, quota.topic_ingest_bytes_per_s,
          quota.topic_fetch_bytes_per_s, quota.connections};
}

int live_settings::admit(std::string_view authorization, bool changes, std::string& who,
                         std::string& why) const {
  constexpr std::string_view scheme = "Bearer ";
  const auto book = access_.current();
  if (!book->enabled) {
    who = "an unauthenticated request";
    if (!changes || http_on_loopback_)
      return 200;
    why = "without authentication settings are changed from this machine only: bind http.bind to "
          "loopback, or set auth.enabled";
    return 403;
  }
  if (!authorization.starts_with(scheme)) {
    why = "send a token: Authorization: Bearer <token>";
    return 401;
  }
  std::string name;
  const auto token = as_bytes(authorization.substr(scheme.size()));
  const auto verdict = book->tokens.judge(token, clock_.wall_ns() / s_in_ns, name);
  if (verdict != cluster::token_verdict::known) {
    why = verdict == cluster::token_verdict::expired ? "the token has expired"
                                                     : "the token is not known";
    return 401;
  }
  const caller bearer{{"token:" + name}};
  who = bearer.name();
  // A rule for some topics does not match this name; one for all does.
  constexpr std::string_view every_topic = "*";
  if (!changes || !book->rules ||
      book->rules->allow(bearer.identities, cluster::right::admin, every_topic))
    return 200;
  why = "settings are changed by who has the right of administration on all topics (lnc acl)";
  return 403;
}

std::string live_settings::change(const std::vector<std::pair<std::string, std::string>>& wanted,
                                  const std::string& who) {
  const std::scoped_lock lock{guard_};
  auto next = loaded_;
  for (const auto& [path, text] : wanted) {
    const auto found = config::find_key(path);
    if (!found) {
      const auto near = config::nearest(path, live_paths());
      return path + " is not a key" + (near.empty() ? "" : "; did you mean " + near + "?");
    }
    const auto& key = config::keys()[*found];
    if (!live(key))
      return path + " takes effect at a start only; set it in the configuration and restart";
    if (const auto complaint = config::assign(key, next.values, text, true); !complaint.empty())
      return path + " " + complaint;
    next.origins[*found] = {config::source::flag, 0, "the admin API"};
  }
  for (const auto& [path, text] : wanted) {
    const auto& key = config::keys()[*config::find_key(path)];
    runtime::log(runtime::log_level::warning, "setting_changed",
                 {{"identity", who},
                  {"key", path},
                  {"from", config::to_toml(key, loaded_.values)},
                  {"to", config::to_toml(key, next.values)}});
  }
  loaded_ = std::move(next);
  quotas_.set(quota_limits_of(loaded_.values.quota), clock_.steady_ns());
  runtime::configure_log(static_cast<runtime::log_level>(loaded_.values.log.level),
                         static_cast<runtime::log_format>(loaded_.values.log.format));
  return {};
}

std::string live_settings::text() const {
  const std::scoped_lock lock{guard_};
  return config::print_config(loaded_);
}

} // namespace lance::actors
