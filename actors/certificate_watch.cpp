#include "actors/certificate_watch.hpp"

#include <algorithm>

#include "runtime/log.hpp"

namespace lance::actors {

using runtime::log_level;

bool wants_tls(const config::tls_section& section) noexcept {
  return !section.cert.empty() || !section.key.empty() || !section.ca.empty() ||
         section.require_client_cert;
}

result<std::unique_ptr<certificate_watch>>
certificate_watch::make(const config::tls_section& tls, std::int64_t now_s, std::string& why) {
  if (!wants_tls(tls))
    return nullptr;
  runtime::tls_server_settings settings;
  settings.cert = tls.cert;
  settings.key = tls.key;
  settings.ca = tls.ca;
  settings.require_client_cert = tls.require_client_cert;
  settings.min_version = tls.min_version == config::tls_version::tls_1_3
                             ? runtime::tls_version::v1_3
                             : runtime::tls_version::v1_2;
  settings.ciphers = tls.ciphers;
  settings.ciphersuites = tls.ciphersuites;
  auto first = runtime::tls_context::make_server(settings, now_s, why);
  if (!first)
    return tl::unexpected{first.error()};
  return std::unique_ptr<certificate_watch>{new certificate_watch(settings, std::move(*first))};
}

certificate_watch::certificate_watch(const runtime::tls_server_settings& settings,
                                     std::shared_ptr<const runtime::tls_context> first)
    : settings_(settings), source_(std::move(first)), seen_(read_stamps()) {}

certificate_watch::stamps certificate_watch::read_stamps() const {
  return {file_stamp::of(settings_.cert), file_stamp::of(settings_.key),
          file_stamp::of(settings_.ca)};
}

void certificate_watch::look(std::int64_t now_s, bool forced, runtime::metric_set& metrics) {
  if (const auto now = read_stamps(); forced || now != seen_) {
    seen_ = now; // what is half written now will have another stamp when it is whole
    std::string why;
    auto next = runtime::tls_context::make_server(settings_, now_s, why);
    if (next) {
      source_.replace(std::move(*next));
      metrics.add(runtime::counter::tls_reloads);
      runtime::log(log_level::info, "certificates_reloaded",
                   {{"cert", settings_.cert}, {"ends_in_s", source_.current()->ends_s() - now_s}});
    } else {
      metrics.add(runtime::counter::tls_reload_failures);
      runtime::log(log_level::error, "certificates_not_reloaded",
                   {{"reason", why}, {"effect", "the ones before stay in use"}});
    }
  }
  const auto left = source_.current()->ends_s() - now_s;
  metrics.set(runtime::gauge::tls_certificate_expiry,
              static_cast<double>(std::max<std::int64_t>(left, 0)));
}

} // namespace lance::actors
