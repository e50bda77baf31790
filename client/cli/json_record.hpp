// A record as one line of JSON: what `consume --json` prints and `produce --from-json` reads.
// Values and keys that are valid UTF-8 are strings; others are base64 under `value_base64`,
// `key_base64`. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/record.hpp"

namespace lance::client::cli {

/// Appends the object and a newline. `record` and `time_ns` are left out where they are not known.
void append_json_record(std::string& to, std::string_view topic, std::uint32_t partition,
                        const record& what);

struct parsed_record {
  std::vector<std::byte> value;
  std::optional<std::vector<std::byte>> key;
};

/// What else the object says is ignored. Nothing when the line is no such object.
[[nodiscard]] std::optional<parsed_record> parse_json_record(std::string_view line);

} // namespace lance::client::cli
