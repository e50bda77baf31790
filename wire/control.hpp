// Control frames: the command codes and the payloads of LWP v1 that are not JSON. Layouts are in
// wire/README.md, "Control". The JSON payloads are in wire/control_json.hpp, our own hot commands
// in wire/batch_commands.hpp, error texts in wire/error_reply.hpp.
//
// Pure functions, any thread. A decoder gets the frame's payload; what it returns as string_view or
// byte_view points into it. A payload that is too short is errc::invalid_request; bytes after the
// layout's end are ignored, as LWP v1 promises.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "wire/frame.hpp"

namespace lance::wire {

/// The low eight bits of a control frame's batch_id. Never renumbered.
enum class command : std::uint8_t {
  create_topic = 0x01,
  delete_topic = 0x02,
  list_topics = 0x03,
  get_topic = 0x04,
  set_retention = 0x05,
  create_topic_with_retention = 0x06,
  get_cluster_status = 0x07,
  authenticate = 0x08,
  authenticate_response = 0x09,
  fetch = 0x10,
  fetch_response = 0x11,
  catching_up = 0x12,
  subscribe = 0x20,
  unsubscribe = 0x21,
  commit_offset = 0x22,
  subscribe_ack = 0x23,
  commit_ack = 0x24,

  // Ours, 30-7F: 40-4F groups, 50-5F administration, 60-6F tee, 70-7F free.
  hello = 0x30,
  create_topic_x = 0x31,
  describe_topic = 0x32,
  set_topic = 0x33,
  offset_lookup = 0x34,
  offset_reply = 0x35,
  fetch_batches = 0x36,
  batches_reply = 0x37,
  register_producer = 0x38,
  producer_registered = 0x39,
  unfence_topic = 0x50, ///< payload as describe_topic's

  topic_response = 0x80, ///< JSON; also the answer to every rare command of ours
  cluster_status_response = 0x81,
  error_response = 0xff,
};

/// Any of 256 values: a code this build does not name is still a command, to be refused.
[[nodiscard]] constexpr command command_of(const frame_header& header) noexcept {
  return static_cast<command>(header.batch_id & 0xff);
}

/// A short word for logs, e.g. "create_topic"; "unknown" for a code without a name.
[[nodiscard]] std::string_view name_of(command code) noexcept;

/// Payload length and sum are still to be filled in: encode_frame() and seal() do it.
[[nodiscard]] constexpr frame_header control_header(command code) noexcept {
  return {.flags = flag::control, .batch_id = static_cast<std::uint64_t>(code)};
}

/// A-Z a-z 0-9 - _, 1 to 255 bytes (it becomes a directory's name), and not "0", which is the
/// directory of the default topic.
[[nodiscard]] bool valid_topic_name(std::string_view name) noexcept;
inline constexpr std::size_t topic_name_bytes_max = 255;

/// 0 means no limit.
struct retention {
  std::uint64_t max_age_secs = 0;
  std::uint64_t max_bytes = 0;
  friend bool operator==(const retention&, const retention&) = default;
};

// --- requests ----------------------------------------------------------------------------------

struct set_retention_request {
  topic_id topic{};
  retention limits{};
  friend bool operator==(const set_retention_request&, const set_retention_request&) = default;
};
struct create_with_retention_request {
  std::string_view name{};
  retention limits{};
  friend bool operator==(const create_with_retention_request&,
                         const create_with_retention_request&) = default;
};
struct fetch_request {
  log_id log{};
  byte_offset start{}; ///< fetch_end_query asks for the end offset
  std::uint32_t max_bytes = 0;
  friend bool operator==(const fetch_request&, const fetch_request&) = default;
};
struct subscribe_request {
  log_id log{};
  byte_offset start{}; ///< 0: where the consumer committed; 2^64-1: the end
  std::uint32_t max_batch_bytes = 0;
  std::uint64_t consumer_id = 0;
  friend bool operator==(const subscribe_request&, const subscribe_request&) = default;
};
struct unsubscribe_request {
  log_id log{};
  std::uint64_t consumer_id = 0;
  friend bool operator==(const unsubscribe_request&, const unsubscribe_request&) = default;
};
struct commit_offset_request {
  log_id log{};
  std::uint64_t consumer_id = 0;
  byte_offset offset{};
  friend bool operator==(const commit_offset_request&, const commit_offset_request&) = default;
};

inline constexpr byte_offset fetch_end_query{~std::uint64_t{0}};

/// The topic's name, which is the whole payload; errc::invalid_name when it breaks the rule.
[[nodiscard]] result<std::string_view> decode_create_topic(byte_view payload) noexcept;
/// Delete and Get carry the topic's id only.
[[nodiscard]] result<topic_id> decode_topic_id(byte_view payload) noexcept;
[[nodiscard]] result<set_retention_request> decode_set_retention(byte_view payload) noexcept;
[[nodiscard]] result<create_with_retention_request>
decode_create_with_retention(byte_view payload) noexcept;
/// The bearer token. errc::not_authenticated when there is none, errc::invalid_request when it is
/// not UTF-8 or above token_bytes_max; see `authenticate_text` for the answers.
[[nodiscard]] result<std::string_view> decode_authenticate(byte_view payload) noexcept;
[[nodiscard]] result<fetch_request> decode_fetch(byte_view payload) noexcept;
[[nodiscard]] result<subscribe_request> decode_subscribe(byte_view payload) noexcept;
[[nodiscard]] result<unsubscribe_request> decode_unsubscribe(byte_view payload) noexcept;
[[nodiscard]] result<commit_offset_request> decode_commit_offset(byte_view payload) noexcept;

/// Longer tokens are nobody's: a peer that is not authenticated yet gets no more room than this.
inline constexpr std::size_t token_bytes_max = 8 * KiB;

[[nodiscard]] std::array<std::byte, 4> encode_topic_id(topic_id id) noexcept;
[[nodiscard]] std::array<std::byte, 20> encode(const set_retention_request& request) noexcept;
/// The name is at most topic_name_bytes_max bytes.
[[nodiscard]] std::vector<std::byte> encode(const create_with_retention_request& request);
[[nodiscard]] std::array<std::byte, 16> encode(const fetch_request& request) noexcept;
[[nodiscard]] std::array<std::byte, 24> encode(const subscribe_request& request) noexcept;
[[nodiscard]] std::array<std::byte, 12> encode(const unsubscribe_request& request) noexcept;
[[nodiscard]] std::array<std::byte, 20> encode(const commit_offset_request& request) noexcept;

// --- replies -----------------------------------------------------------------------------------

struct authenticate_reply {
  bool accepted = false;
  std::string_view message{};
  friend bool operator==(const authenticate_reply&, const authenticate_reply&) = default;
};
namespace authenticate_text {
inline constexpr std::string_view accepted = "Authenticated";
inline constexpr std::string_view unknown_token = "Invalid token";
inline constexpr std::string_view no_token = "No token provided";
inline constexpr std::string_view not_utf8 = "Invalid token encoding";
} // namespace authenticate_text

/// What precedes the data of a fetch response.
struct fetch_head {
  byte_offset next{};
  std::uint32_t bytes_returned = 0;
  std::uint32_t record_count = 0; ///< 1 with data, else 0: an indicator, not a count
  friend bool operator==(const fetch_head&, const fetch_head&) = default;
};
inline constexpr std::size_t fetch_head_bytes = 16;
/// The most data one fetch response may carry.
inline constexpr std::uint32_t fetch_data_bytes_max = reply_payload_bytes_max - fetch_head_bytes;
static_assert(fetch_data_bytes_max == 16'777'156);

struct fetch_reply {
  fetch_head head{};
  byte_view data{}; ///< head.bytes_returned of them
};
struct subscribe_ack {
  std::uint64_t consumer_id = 0;
  byte_offset start{};
  friend bool operator==(const subscribe_ack&, const subscribe_ack&) = default;
};
struct commit_ack {
  std::uint64_t consumer_id = 0;
  byte_offset committed{};
  friend bool operator==(const commit_ack&, const commit_ack&) = default;
};

/// The head of a response that begins at `start` and carries `bytes` (at most
/// fetch_data_bytes_max).
[[nodiscard]] fetch_head fetch_head_for(byte_offset start, std::uint32_t bytes) noexcept;

[[nodiscard]] std::vector<std::byte> encode(const authenticate_reply& reply);
[[nodiscard]] std::array<std::byte, fetch_head_bytes> encode(const fetch_head& head) noexcept;
[[nodiscard]] std::array<std::byte, 8> encode_catching_up(byte_offset end) noexcept;
[[nodiscard]] std::array<std::byte, 16> encode(const subscribe_ack& reply) noexcept;
[[nodiscard]] std::array<std::byte, 16> encode(const commit_ack& reply) noexcept;

[[nodiscard]] result<authenticate_reply> decode_authenticate_reply(byte_view payload) noexcept;
[[nodiscard]] result<fetch_reply> decode_fetch_reply(byte_view payload) noexcept;
[[nodiscard]] result<byte_offset> decode_catching_up(byte_view payload) noexcept;
[[nodiscard]] result<subscribe_ack> decode_subscribe_ack(byte_view payload) noexcept;
[[nodiscard]] result<commit_ack> decode_commit_ack(byte_view payload) noexcept;

} // namespace lance::wire
