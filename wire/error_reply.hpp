// Error replies (FF): `CODE: sentence`, made and read. Also reads the free texts of the published
// server, because our client may be pointed at one. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

#include "runtime/result.hpp"

namespace lance::wire {

/// `CODE: sentence`; codes that stay inside leave as INTERNAL. Without a sentence the code's own
/// phrase is used. The sentence is cut at error_text_bytes_max.
[[nodiscard]] std::string error_text(errc code, std::string_view sentence = {});

/// `NOT_LEADER: redirect to <ip>:<port>`, or `NOT_LEADER: leader unknown` without an address. The
/// address is numeric: the published client reads a host name as "unknown".
[[nodiscard]] std::string not_leader_text(std::string_view address);

/// A reply is read by humans in one line of a log: more is a mistake.
inline constexpr std::size_t error_text_bytes_max = 1024;

/// An error reply as read. The views point into the text given.
struct error_reply {
  errc code = errc::internal;
  std::string_view sentence{}; ///< without the code, if the text had one
  std::string_view leader{};   ///< with not_leader, `<ip>:<port>` if it was told

  /// The same request may succeed later, on another connection or node.
  [[nodiscard]] bool retriable() const noexcept {
    return code == errc::forward_failed || code == errc::not_leader || code == errc::throttled ||
           code == errc::rebalancing;
  }
};

/// How long a refusal asks to wait: the N of "... retry after N ms" at its end. 0: it says nothing.
[[nodiscard]] std::uint32_t retry_after_ms(std::string_view sentence) noexcept;

/// Never fails: a text of no known form is errc::internal with the whole text as its sentence.
[[nodiscard]] error_reply parse_error(std::string_view text) noexcept;

} // namespace lance::wire
