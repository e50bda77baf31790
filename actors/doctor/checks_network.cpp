#include <cerrno>

#include "actors/doctor/checks.hpp"
#include "actors/listener.hpp"
#include "config/judge.hpp"

namespace lance::actors::doctor {

namespace {

std::string port_of(const std::string& address) {
  return address.substr(address.rfind(':') + 1);
}

std::string remedy(const listener_facts& listener) {
  if (listener.error == EADDRINUSE)
    return "ss -ltnp 'sport = :" + port_of(listener.address) + "'  # who has it; or change " +
           listener.key;
  if (listener.error == EACCES)
    return "setcap cap_net_bind_service=+ep $(command -v lance)  # or a port from 1024 on in " +
           listener.key;
  return "ip -br address  # what this machine has; correct " + listener.key;
}

} // namespace

finding check_ports(const facts& known) {
  finding found{"ports", status::ok, "", "A node whose ports are taken does not start.", ""};
  if (known.disk.broker_runs) {
    found.is = status::skip;
    found.what = "the broker that runs on the data directory has them";
    return found;
  }
  for (const auto& one : known.listeners) {
    if (one.error == 0 && one.trouble.empty()) {
      found.what += (found.what.empty() ? "free: " : ", ") + one.address;
      continue;
    }
    found.is = status::fail;
    found.what = one.key + ": " + one.trouble;
    found.fix = remedy(one);
    break;
  }
  if (known.listeners.empty()) {
    found.is = status::skip;
    found.what = "nothing is listened on";
  }
  return found;
}

finding check_backlog(const facts& known) {
  constexpr auto wanted = static_cast<std::uint64_t>(listen_backlog);
  finding found{"backlog", status::ok, "",
                "When many clients come back at once, those beyond the kernel's bound are turned "
                "away and try again a second later.",
                "sysctl -w net.core.somaxconn=" + std::to_string(wanted)};
  if (!known.kernel.backlog_max) {
    found.is = status::skip;
    found.what = "not known";
    return found;
  }
  found.what = std::to_string(*known.kernel.backlog_max) +
               " connections may wait to be accepted; " + std::to_string(wanted) + " are asked for";
  if (*known.kernel.backlog_max < wanted)
    found.is = status::warn;
  return found;
}

finding check_tls(const facts& known) {
  constexpr std::int64_t day_s = 24 * 3600;
  constexpr std::int64_t days_warned = 14;
  finding found{"tls", status::ok, "", "Clients refuse a certificate from its last second on.",
                "renew the certificate at " + known.wanted.values.tls.cert +
                    ", then: kill -HUP the broker (it also looks every second)"};
  if (!known.tls_trouble.empty()) {
    found.is = status::fail;
    found.what = known.tls_trouble;
    found.fix = "openssl x509 -noout -enddate -in " + known.wanted.values.tls.cert;
  } else if (!known.tls_seconds_left) {
    found.is = status::skip;
    found.what = "tls.cert is not set: connections are not encrypted";
  } else {
    const auto left = *known.tls_seconds_left;
    found.what = "the certificate is good for " + std::to_string(left / day_s) + " days";
    if (left < days_warned * day_s)
      found.is = status::warn;
  }
  return found;
}

finding check_access(const facts& known) {
  finding found{"access", status::ok, "tokens and rules can be read",
                "A node whose tokens or rules cannot be read does not start, lest it let anybody "
                "in.",
                "lnc token list --file FILE; lnc acl list --file FILE"};
  if (!known.access_trouble.empty()) {
    found.is = status::fail;
    found.what = known.access_trouble;
  } else if (!known.wanted.values.auth.enabled) {
    found.is = status::skip;
    found.what = "auth.enabled = false: nobody is asked who it is";
  }
  return found;
}

finding check_exposure(const facts& known) {
  const auto& values = known.wanted.values;
  finding found{"exposure", status::ok, "",
                "Whoever reaches an open port may read, write and "
                "delete what lies behind it.",
                ""};
  const auto open = [&](const std::string& address) {
    return !address.empty() && !config::on_loopback(address);
  };
  const auto exposed = [&](const std::string& what, const std::string& fix) {
    found.is = status::warn;
    found.what += (found.what.empty() ? "" : "; ") + what;
    found.fix += (found.fix.empty() ? "" : "; ") + fix;
  };
  if (open(values.network.bind) && values.tls.cert.empty())
    exposed("network.bind = \"" + values.network.bind + "\" is not encrypted",
            "set tls.cert and tls.key");
  if (open(values.network.bind) && !values.auth.enabled && !values.tls.require_client_cert)
    exposed("network.bind = \"" + values.network.bind + "\" asks nobody who it is",
            "lnc token create --file FILE NAME, and set auth.enabled, auth.token_file");
  if (open(values.http.bind))
    exposed("http.bind = \"" + values.http.bind + "\" lets anybody switch readiness",
            "set http.bind to a loopback address, or keep others out with a firewall");
  if (open(values.metrics.bind))
    exposed("metrics.bind = \"" + values.metrics.bind + "\" shows the load to anybody",
            "set metrics.bind to a loopback address, or keep others out with a firewall");
  if (found.is == status::ok)
    found.what = open(values.network.bind)
                     ? "the client port is encrypted and asks who it speaks to; the others are on "
                       "loopback"
                     : "all listeners are on loopback";
  return found;
}

} // namespace lance::actors::doctor
