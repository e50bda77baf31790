// How a call of this library can fail, told well enough to act on and to print. The code is the
// server's own when the server refused, one of the inside codes (closed, timed_out, io_failed,
// exhausted, ...) when it never got to answer.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::client {

struct failure {
  errc code = errc::internal;
  bool retriable = false; ///< the same call may succeed later, perhaps on another node
  std::string node;       ///< host:port that was asked; empty when none was
  std::string topic;      ///< empty when the call is not about one
  std::string sentence;   ///< for people, without the code

  friend bool operator==(const failure&, const failure&) = default;
};

template <class T = void>
using outcome = tl::expected<T, failure>;

[[nodiscard]] tl::unexpected<failure>
refuse(errc code, std::string sentence, std::string_view node = {}, std::string_view topic = {});

/// Whether a call that failed with this code may succeed later. errc::io_failed counts: it is a
/// network's error here.
[[nodiscard]] bool is_retriable(errc code) noexcept;

/// The failure a network deed ended with; `deed` is what was tried, e.g. "connecting".
[[nodiscard]] failure network_failure(const error& what, std::string_view deed,
                                      std::string_view node);

/// The failure an ErrorResponse (FF) with this payload tells.
[[nodiscard]] failure failure_of_reply(byte_view payload, std::string_view node,
                                       std::string_view topic = {});

/// How long the server asked to wait before the next try; zero when it did not. Taken for an hour
/// at most.
[[nodiscard]] std::chrono::milliseconds asked_to_wait(const failure& what) noexcept;

/// One line: `127.0.0.1:1992: topic 'x': topic not found (TOPIC_NOT_FOUND)`. Control characters of
/// a server's sentence are shown as '?'.
[[nodiscard]] std::string to_text(const failure& what);

} // namespace lance::client
