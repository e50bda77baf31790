#include "actors/doctor/report.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace lance::actors::doctor {

namespace {

std::size_t count_of(std::span<const finding> findings, status wanted) {
  return static_cast<std::size_t>(std::count_if(
      findings.begin(), findings.end(), [wanted](const auto& one) { return one.is == wanted; }));
}

status worst(std::span<const finding> findings) noexcept {
  auto found = status::ok;
  for (const auto& one : findings)
    if (one.is != status::skip)
      found = std::max(found, one.is);
  return found;
}

std::string padded(std::string_view text, std::size_t width) {
  return std::string{text} + std::string(width > text.size() ? width - text.size() : 1, ' ');
}

} // namespace

int exit_code_of(std::span<const finding> findings) noexcept {
  switch (worst(findings)) {
  case status::fail:
    return exit_failed;
  case status::warn:
    return exit_warned;
  default:
    return exit_well;
  }
}

std::string as_text(std::span<const finding> findings) {
  constexpr std::size_t status_width = 6;
  std::size_t name_width = 0;
  for (const auto& one : findings)
    name_width = std::max(name_width, one.name.size() + 2);
  const std::string indent(status_width + name_width, ' ');
  std::string text;
  for (const auto& one : findings) {
    text += padded(name_of(one.is), status_width) + padded(one.name, name_width) + one.what + '\n';
    if (!one.fix.empty())
      text += indent + "why: " + one.why + '\n' + indent + "fix: " + one.fix + '\n';
  }
  text += '\n';
  for (const auto kind : {status::ok, status::warn, status::fail, status::skip})
    text += (kind == status::ok ? "" : ", ") + std::to_string(count_of(findings, kind)) + ' ' +
            std::string{name_of(kind)};
  return text + '\n';
}

std::string as_json(std::span<const finding> findings) {
  auto checks = nlohmann::ordered_json::array();
  for (const auto& one : findings)
    checks.push_back({{"name", one.name},
                      {"status", name_of(one.is)},
                      {"what", one.what},
                      {"why", one.why},
                      {"fix", one.fix}});
  const nlohmann::ordered_json told{{"status", name_of(worst(findings))},
                                    {"exit_code", exit_code_of(findings)},
                                    {"checks", std::move(checks)}};
  // Paths may hold bytes that are no UTF-8.
  return told.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

} // namespace lance::actors::doctor
