#include "client/cli/json_record.hpp"

#include <array>
#include <charconv>

#include <nlohmann/json.hpp>

#include "client/cli/text.hpp"

namespace lance::client::cli {

namespace {

void append_number(std::string& to, std::string_view name, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  to.append(",\"").append(name).append("\":");
  to.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

void append_bytes(std::string& to, std::string_view name, byte_view bytes) {
  to.append(",\"").append(name);
  if (valid_utf8(bytes)) {
    to += "\":";
    append_json_string(to, as_text(bytes));
    return;
  }
  to += "_base64\":\"";
  append_base64(to, bytes);
  to += '"';
}

// The member, plain or as base64. False when it is there and cannot be read.
bool take_bytes(const nlohmann::json& object, const std::string& name,
                std::optional<std::vector<std::byte>>& to) {
  if (const auto plain = object.find(name); plain != object.end()) {
    if (!plain->is_string())
      return false;
    const auto bytes = as_bytes(plain->get_ref<const std::string&>());
    to.emplace(bytes.begin(), bytes.end());
    return true;
  }
  if (const auto coded = object.find(name + "_base64"); coded != object.end()) {
    if (!coded->is_string())
      return false;
    to = parse_base64(coded->get_ref<const std::string&>());
    return to.has_value();
  }
  return true;
}

} // namespace

void append_json_record(std::string& to, std::string_view topic, std::uint32_t partition,
                        const record& what) {
  to += "{\"topic\":";
  append_json_string(to, topic);
  append_number(to, "partition", partition);
  append_number(to, "offset", what.offset.value);
  if (what.number)
    append_number(to, "record", what.number->value);
  if (what.time_ns != 0)
    append_number(to, "time_ns", what.time_ns);
  if (what.key)
    append_bytes(to, "key", *what.key);
  append_bytes(to, "value", what.value);
  to += "}\n";
}

std::optional<parsed_record> parse_json_record(std::string_view line) {
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object())
    return std::nullopt;
  parsed_record out;
  std::optional<std::vector<std::byte>> value;
  if (!take_bytes(object, "value", value) || !take_bytes(object, "key", out.key) || !value)
    return std::nullopt;
  out.value = std::move(*value);
  return out;
}

} // namespace lance::client::cli
