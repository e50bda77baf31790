// The golden examples of LWP, and hexadecimal both ways.
#pragma once

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/bytes.hpp"

namespace lance::wire::test {

using json = nlohmann::json;
using buffer = std::vector<std::byte>;

/// tests/wire/lwp_vectors.json.
inline const json& vectors() {
  static const json loaded = [] {
    std::ifstream file{LANCE_SOURCE_DIR "/tests/wire/lwp_vectors.json"};
    return json::parse(file);
  }();
  return loaded;
}

inline buffer from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0)
    throw std::invalid_argument{"odd number of hexadecimal digits"};
  buffer bytes;
  for (std::size_t at = 0; at < hex.size(); at += 2)
    bytes.push_back(
        static_cast<std::byte>(std::stoul(std::string{hex.substr(at, 2)}, nullptr, 16)));
  return bytes;
}

inline std::string to_hex(byte_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const auto byte : bytes) {
    hex += digits[std::to_integer<std::size_t>(byte >> 4)];
    hex += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return hex;
}

/// Numbers above 2^53 are strings in the file.
inline std::uint64_t number(const json& value) {
  return value.is_string() ? std::stoull(value.get<std::string>()) : value.get<std::uint64_t>();
}

inline std::string text(const json& value) {
  return value.get<std::string>();
}

inline buffer bytes_of(const json& value) {
  return from_hex(text(value));
}

inline const json& named(const json& list, std::string_view name) {
  for (const auto& entry : list)
    if (entry.at("name") == name)
      return entry;
  throw std::out_of_range{std::string{name}};
}

/// The payload of a named frame.
inline buffer frame_payload(std::string_view name) {
  return bytes_of(named(vectors().at("frames"), name).at("payload_hex"));
}

} // namespace lance::wire::test
