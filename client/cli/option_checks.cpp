#include "client/cli/option_checks.hpp"

#include <CLI/CLI.hpp>

#include "client/cli/units.hpp"
#include "runtime/clock.hpp"
#include "wire/control.hpp"

namespace lance::client::cli {

namespace {

template <class Predicate>
CLI::Validator validator(Predicate good, const char* wanted) {
  return CLI::Validator{[good, wanted](std::string& text) {
                          return good(text) ? std::string{} : "'" + text + "' is not " + wanted;
                        },
                        ""};
}

} // namespace

CLI::Validator is_bytes() {
  return validator([](std::string_view text) { return parse_bytes(text).has_value(); },
                   "a size such as 4096, 64KiB or 10GB");
}

CLI::Validator is_duration() {
  return validator([](std::string_view text) { return parse_duration_ns(text).has_value(); },
                   "a time such as 90s, 1h30m or 7d");
}

CLI::Validator is_start() {
  return validator(
      [](std::string_view text) {
        return parse_start(text, runtime::real_clock{}.wall_ns()).has_value();
      },
      "a place: earliest, latest, a byte offset, record:N, or @TIME with TIME such as "
      "2025-01-31T12:00:00Z, 1738324800 or -5m");
}

CLI::Validator is_topic_name() {
  return validator([](std::string_view text) { return wire::valid_topic_name(text); },
                   "a topic name: 1 to 255 of A-Z a-z 0-9 - _, and not '0'");
}

CLI::Option* add_topic_option(CLI::App& app, std::string& to) {
  return app.add_option("-t,--topic", to, "the topic")
      ->required()
      ->type_name("NAME")
      ->check(is_topic_name());
}

} // namespace lance::client::cli
