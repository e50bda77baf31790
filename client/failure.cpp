#include "client/failure.hpp"

#include <algorithm>
#include <system_error>

#include "wire/error_reply.hpp"

namespace lance::client {

tl::unexpected<failure> refuse(errc code, std::string sentence, std::string_view node,
                               std::string_view topic) {
  return tl::unexpected{failure{code, is_retriable(code), std::string{node}, std::string{topic},
                                std::move(sentence)}};
}

bool is_retriable(errc code) noexcept {
  switch (code) {
  case errc::forward_failed:
  case errc::not_leader:
  case errc::throttled:
  case errc::rebalancing:
  case errc::io_failed:
  case errc::exhausted:
  case errc::closed:
  case errc::timed_out:
    return true;
  default:
    return false;
  }
}

failure network_failure(const error& what, std::string_view deed, std::string_view node) {
  std::string sentence{deed};
  sentence += ": ";
  if (what.code == errc::io_failed && what.system != 0)
    sentence += std::generic_category().message(what.system);
  else if (what.code == errc::closed)
    sentence += "the server closed the connection";
  else if (what.code == errc::timed_out)
    sentence += "no answer in time";
  else if (what.code == errc::bad_frame)
    sentence += "the server does not speak LWP";
  else
    sentence += describe(what.code);
  return {what.code, is_retriable(what.code), std::string{node}, {}, std::move(sentence)};
}

failure failure_of_reply(byte_view payload, std::string_view node, std::string_view topic) {
  const auto reply = wire::parse_error(as_text(payload));
  return {reply.code, reply.retriable(), std::string{node}, std::string{topic},
          std::string{reply.sentence}};
}

std::chrono::milliseconds asked_to_wait(const failure& what) noexcept {
  constexpr std::uint32_t hour_ms = 3'600'000;
  if (what.code != errc::throttled)
    return {};
  return std::chrono::milliseconds{std::min(wire::retry_after_ms(what.sentence), hour_ms)};
}

std::string to_text(const failure& what) {
  std::string text;
  if (!what.node.empty())
    text += what.node + ": ";
  if (!what.topic.empty() && what.sentence.find(what.topic) == std::string::npos)
    text += "topic '" + what.topic + "': ";
  text += what.sentence.empty() ? describe(what.code) : std::string_view{what.sentence};
  if (static_cast<std::uint8_t>(what.code) < 0x80)
    text.append(" (").append(wire_code(what.code)).append(")");
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  std::replace_if(text.begin(), text.end(), control, '?');
  return text;
}

} // namespace lance::client
