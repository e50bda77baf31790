#include "runtime/result.hpp"

#include <array>
#include <cstring>

namespace lance {

namespace {

struct row {
  errc code;
  std::string_view word;
  std::string_view phrase;
};

constexpr std::array table{
    row{errc::topic_not_found, "TOPIC_NOT_FOUND", "topic not found"},
    row{errc::topic_exists, "TOPIC_EXISTS", "topic already exists"},
    row{errc::invalid_name, "INVALID_NAME", "invalid name"},
    row{errc::invalid_request, "INVALID_REQUEST", "invalid request"},
    row{errc::too_large, "TOO_LARGE", "too large"},
    row{errc::offset_out_of_range, "OFFSET_OUT_OF_RANGE", "offset out of range"},
    row{errc::not_authenticated, "NOT_AUTHENTICATED", "not authenticated"},
    row{errc::not_authorized, "NOT_AUTHORIZED", "not authorized"},
    row{errc::throttled, "THROTTLED", "throttled"},
    row{errc::read_only, "READ_ONLY", "read only"},
    row{errc::fenced, "FENCED", "fenced"},
    row{errc::unknown_member, "UNKNOWN_MEMBER", "unknown member"},
    row{errc::rebalancing, "REBALANCING", "rebalancing"},
    row{errc::corrupt, "CORRUPT", "corrupt data"},
    row{errc::unsupported, "UNSUPPORTED", "not supported"},
    row{errc::internal, "INTERNAL", "internal error"},
    row{errc::forward_failed, "FORWARD_FAILED", "forwarding failed"},
    row{errc::not_leader, "NOT_LEADER", "not the leader"},
    row{errc::out_of_sequence, "OUT_OF_SEQUENCE", "a batch before this one is missing"},
    row{errc::unknown_producer, "UNKNOWN_PRODUCER", "the log does not know this producer"},
    row{errc::io_failed, "INTERNAL", "input or output failed"},
    row{errc::incomplete, "INTERNAL", "incomplete"},
    row{errc::bad_frame, "INTERNAL", "bad frame"},
    row{errc::bad_format, "INTERNAL", "bad format"},
    row{errc::bad_config, "INTERNAL", "bad configuration"},
    row{errc::exhausted, "INTERNAL", "a bounded resource is exhausted"},
    row{errc::closed, "INTERNAL", "closed"},
    row{errc::timed_out, "INTERNAL", "timed out"},
    row{errc::not_supported_here, "INTERNAL", "not supported on this machine"},
    row{errc::log_fenced, "READ_ONLY", "the log is fenced"},
    row{errc::log_opening, "FORWARD_FAILED", "the log is being recovered; try again"},
};

const row* find(errc code) noexcept {
  for (const auto& entry : table)
    if (entry.code == code)
      return &entry;
  return nullptr;
}

} // namespace

std::string_view wire_code(errc code) noexcept {
  const auto* entry = find(code);
  return entry != nullptr ? entry->word : "INTERNAL";
}

std::string_view describe(errc code) noexcept {
  const auto* entry = find(code);
  return entry != nullptr ? entry->phrase : "unknown error";
}

std::string describe_error(const error& what) {
  std::string text{describe(what.code)};
  if (what.system != 0)
    text += std::string{": "} + std::strerror(what.system);
  return text;
}

errc code_of_wire_word(std::string_view word) noexcept {
  for (const auto& entry : table)
    if (entry.word == word)
      return entry.code;
  return errc::internal;
}

} // namespace lance
