#include "client/connector.hpp"

#include <algorithm>

namespace lance::client {

connector::connector(const connection_options& options)
    : options_(options), servers_(options.servers) {}

outcome<std::unique_ptr<channel>> connector::connect(deadline until) {
  failure last{errc::invalid_request, false, {}, {}, "no server address given"};
  const auto count = servers_.size();
  for (std::size_t tried = 0; tried < count; ++tried) {
    const auto& where = servers_[current_];
    auto line =
        options_.dial(where, deadline::earlier(until, deadline::after(options_.connect_timeout)));
    if (!line) {
      last = line.error();
      skip();
      continue;
    }
    auto made = std::make_unique<channel>(std::move(*line), to_text(where));
    const auto known = authenticate(*made, until);
    if (known)
      return made;
    last = known.error();
    if (!last.retriable) // another node of the same cluster would say the same
      break;
    skip();
  }
  return tl::unexpected{std::move(last)};
}

outcome<> connector::authenticate(channel& line, deadline until) const {
  if (options_.token.empty())
    return {};
  const auto reply =
      line.call(wire::control_header(wire::command::authenticate), as_bytes(options_.token), until);
  if (!reply)
    return tl::unexpected{reply.error()};
  if (!reply->is(wire::command::authenticate_response))
    return tl::unexpected{failure_of_reply(reply->payload, line.node())};
  const auto answer = wire::decode_authenticate_reply(reply->payload);
  if (!answer || !answer->accepted)
    return refuse(errc::not_authenticated,
                  answer ? std::string{answer->message} : "the answer cannot be read", line.node());
  return {};
}

void connector::prefer(std::string_view address) {
  auto where = parse_endpoint(address);
  if (address.empty() || !where)
    return;
  const auto known = std::find(servers_.begin(), servers_.end(), *where);
  current_ = static_cast<std::size_t>(known - servers_.begin());
  if (known == servers_.end()) {
    if (servers_.size() == endpoints_max) // a leader that keeps moving to new addresses
      servers_.resize(options_.servers.size());
    current_ = servers_.size();
    servers_.push_back(std::move(*where));
  }
}

void connector::skip() noexcept {
  if (!servers_.empty())
    current_ = (current_ + 1) % servers_.size();
}

} // namespace lance::client
