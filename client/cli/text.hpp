// Bytes as text: JSON strings, hexadecimal, base64. Pure; any thread. Appending forms write to the
// end of a buffer that is used again, so that a million records cost no million allocations.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/bytes.hpp"

namespace lance::client::cli {

[[nodiscard]] bool valid_utf8(byte_view bytes) noexcept;

/// With its quotes; `text` is valid UTF-8. What JSON demands is escaped, nothing else.
void append_json_string(std::string& to, std::string_view text);
void append_hex(std::string& to, byte_view bytes);
/// RFC 4648, with padding.
void append_base64(std::string& to, byte_view bytes);
[[nodiscard]] std::optional<std::vector<std::byte>> parse_base64(std::string_view text);

} // namespace lance::client::cli
