// What became of a record that was given to a producer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "client/failure.hpp"

namespace lance::client {

enum class fate : std::uint8_t {
  acknowledged, ///< what the topic's mode and durability promise holds
  refused,      ///< not stored
  unknown,      ///< perhaps stored: the connection ended between request and answer, or the server
                ///< failed with the batch in hand
};

struct delivery {
  client::fate fate = client::fate::refused;
  std::string topic;
  std::uint64_t latency_ns = 0;   ///< from the batch's begin to its answer
  std::optional<failure> problem; ///< unless acknowledged
};

using delivery_callback = std::function<void(const delivery&)>;

} // namespace lance::client
