// The JSON payloads of control frames: topics, cluster status, hello, and our topic commands.
// Members are in wire/README.md. Pure functions, any thread; they allocate, as rare commands may.
//
// Decoders of requests check every bound named here, and refuse wrong types and, in our own topic
// commands, members they do not know: a policy that is silently ignored would be a lie. Decoders of
// replies ignore unknown members, so that newer servers may say more, and replace missing ones by
// 0, "" or epoch 1 as the published client does. Whatever is wrong is errc::invalid_request; a bad
// topic name is errc::invalid_name, a request above json_request_bytes_max errc::too_large.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "wire/control.hpp"
#include "wire/policy.hpp"

namespace lance::wire {

/// Every request of ours fits into a few KiB; a parser fed 16 MiB by a stranger would not be cheap.
inline constexpr std::size_t json_request_bytes_max = 64 * KiB;
/// Each partition is a log with buffers and open files: more of them belong into more topics.
inline constexpr std::uint32_t topic_partitions_max = 1024;
/// Nine voters tolerate four losses; beyond that a quorum only becomes slower.
inline constexpr std::uint32_t topic_replicas_max = 9;

// --- topics ------------------------------------------------------------------------------------

/// Every member is absent, and its key omitted, when it was not set.
struct topic_policy {
  std::optional<std::uint32_t> partitions{}; ///< 1 to topic_partitions_max
  std::optional<std::uint32_t> replicas{};   ///< 1 to topic_replicas_max
  std::optional<ack_mode> mode{};
  std::optional<wire::durability> durability{};
  std::optional<std::uint64_t> max_age_secs{}; ///< 0: no limit
  std::optional<std::uint64_t> max_bytes{};    ///< 0: no limit

  friend bool operator==(const topic_policy&, const topic_policy&) = default;
};

struct topic_info {
  topic_id id{};
  std::string name{};
  std::uint64_t created_at = 0; ///< seconds since the Unix epoch
  std::uint64_t topic_epoch = 1;
  topic_policy policy{};

  friend bool operator==(const topic_info&, const topic_info&) = default;
};

/// Which members a topic reply has.
enum class topic_form : std::uint8_t {
  published, ///< id, name, created_at, topic_epoch and, when set, the object "retention"
  flat,      ///< and max_age_secs, max_bytes: the reply to CreateTopicWithRetention
  extended,  ///< and the whole policy: replies to our commands
};

[[nodiscard]] std::string encode_topic(const topic_info& topic, topic_form form);
[[nodiscard]] std::string encode_topic_list(const std::vector<topic_info>& topics,
                                            topic_form form = topic_form::published);
[[nodiscard]] std::string encode_deleted(topic_id topic);
[[nodiscard]] std::string encode_retention_set(const set_retention_request& set);

[[nodiscard]] result<topic_info> decode_topic(byte_view payload);
[[nodiscard]] result<std::vector<topic_info>> decode_topic_list(byte_view payload);
[[nodiscard]] result<topic_id> decode_deleted(byte_view payload);
[[nodiscard]] result<set_retention_request> decode_retention_set(byte_view payload);

// --- our topic commands ------------------------------------------------------------------------

/// CreateTopicX (31) and SetTopic (33). SetTopic changes the members that are there.
struct topic_change_request {
  std::string name{};
  topic_policy policy{};
  friend bool operator==(const topic_change_request&, const topic_change_request&) = default;
};

/// DescribeTopic (32): by name when there is one, else by id.
struct describe_topic_request {
  std::string name{};
  topic_id id{};
  friend bool operator==(const describe_topic_request&, const describe_topic_request&) = default;
};

struct partition_info {
  std::uint32_t partition = 0;
  log_id log{};
  byte_offset start{};
  byte_offset end{};
  byte_offset durable_end{};
  std::uint64_t records = 0; ///< from first_record on
  record_number first_record{};
  std::uint64_t segments = 0;
  std::uint64_t bytes = 0; ///< of disk
  std::string state{};     ///< e.g. "open", "read_only", "quarantined"
  friend bool operator==(const partition_info&, const partition_info&) = default;
};

/// In its JSON "partitions" is the array; the policy's number is its length.
struct topic_description {
  topic_info topic{};
  std::vector<partition_info> partitions{};
  friend bool operator==(const topic_description&, const topic_description&) = default;
};

[[nodiscard]] std::string encode(const topic_change_request& request);
[[nodiscard]] std::string encode(const describe_topic_request& request);
[[nodiscard]] std::string encode(const topic_description& description);
[[nodiscard]] result<topic_change_request> decode_create_topic_x(byte_view payload);
/// Refuses a request that changes nothing.
[[nodiscard]] result<topic_change_request> decode_set_topic(byte_view payload);
[[nodiscard]] result<describe_topic_request> decode_describe_topic(byte_view payload);
[[nodiscard]] result<topic_description> decode_topic_description(byte_view payload);

// --- cluster status ----------------------------------------------------------------------------

enum class peer_state : std::uint8_t { disconnected, connecting, connected, failed };

struct cluster_status {
  node_id node{};
  bool is_leader = false;
  std::optional<node_id> leader{};
  term current_term{};
  std::uint32_t node_count = 1;
  std::uint32_t healthy_nodes = 1;
  bool quorum_available = false;
  std::map<std::uint16_t, peer_state> peer_states{};
  bool standalone = false; ///< "mode":"standalone"; the key is absent in a cluster
  friend bool operator==(const cluster_status&, const cluster_status&) = default;
};

[[nodiscard]] std::string encode(const cluster_status& status);
[[nodiscard]] result<cluster_status> decode_cluster_status(byte_view payload);

// --- hello -------------------------------------------------------------------------------------

/// Names in a hello: a word, not a text.
inline constexpr std::size_t hello_name_bytes_max = 255;
inline constexpr std::size_t hello_features_max = 64;

struct hello_request {
  std::string client{}; ///< name and version, for logs
  std::vector<std::string> features{};
  friend bool operator==(const hello_request&, const hello_request&) = default;
};

struct hello_reply {
  std::string server{};
  node_id node{};
  std::string version{};
  std::vector<std::string> features{};
  std::string backend{};             ///< what carries the server's files, e.g. "io_uring"
  std::uint64_t max_frame_bytes = 0; ///< payload of an ingest frame
  friend bool operator==(const hello_reply&, const hello_reply&) = default;
};

[[nodiscard]] std::string encode(const hello_request& request);
[[nodiscard]] std::string encode(const hello_reply& reply);
[[nodiscard]] result<hello_request> decode_hello(byte_view payload);
[[nodiscard]] result<hello_reply> decode_hello_reply(byte_view payload);

} // namespace lance::wire
