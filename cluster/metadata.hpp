// The table of topics as a replicated state machine: entries of the broker's own log go in, the
// table comes out. Same entries, same table, on every node and after every restart. It knows no
// clock, thread or file; nothing here is durable by itself.
//
// A change takes three steps. plan_*() judges a request against the present table and says which
// entry would do it; the owner makes the encoded entry durable (and replicated); apply() changes
// the table and says what is to be opened or deleted. Plan the next change after applying the last
// one: an entry that no longer fits when its turn comes is refused by every replica alike and
// leaves the table as it was.
//
//   auto entry = table.plan_create({.name = "orders"}, now_s);   // or an error for the client
//   ... append encode(*entry) to the log, wait until it is safe ...
//   auto change = table.apply(*entry);                           // created, with the full row
//
// Not thread-safe: it belongs to one owner. Fields of the entries are in cluster/README.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "wire/control.hpp"
#include "wire/control_json.hpp"

namespace lance::cluster {

/// Each topic is at least one log with a directory and an index: a server with more of them spends
/// its memory on bookkeeping. The names alone are 25 MB at most.
inline constexpr std::size_t topics_max = 100'000;
/// Topic ids are log ids of partition 0. The upper half of the 32 bits is left for logs that no
/// client names by a topic's id: internal logs and partitions other than the first.
inline constexpr topic_id topic_id_max{0x7fff'ffff};

/// Topic 0 takes records though nobody created it. It is in no entry and in no list, cannot be
/// changed or deleted, and has the policy of the node. Its name is that of its directory.
inline constexpr topic_id default_topic_id{0};
inline constexpr std::string_view default_topic_name = "0";

struct topic_policy {
  std::uint32_t partitions = 1;
  std::uint32_t replicas = 1;
  ack_mode mode = ack_mode::l1;
  durability level = durability::fsync;
  /// Absent: none was set, and the node's own limits hold. 0 in it means no limit.
  std::optional<wire::retention> limits;

  friend bool operator==(const topic_policy&, const topic_policy&) = default;
};

struct topic {
  topic_id id;
  std::string name;
  std::uint64_t created_at = 0; ///< seconds since the Unix epoch
  std::uint64_t topic_epoch = 1;
  topic_policy policy;

  friend bool operator==(const topic&, const topic&) = default;
};

/// The row in the words of the wire, for every topic reply.
[[nodiscard]] wire::topic_info info_of(const topic& row);

// --- entries -----------------------------------------------------------------------------------

struct topic_created {
  topic row;
  friend bool operator==(const topic_created&, const topic_created&) = default;
};
struct topic_deleted {
  topic_id id;
  friend bool operator==(const topic_deleted&, const topic_deleted&) = default;
};
/// Changes the members that are there and leaves the others.
struct policy_changed {
  topic_id id;
  wire::topic_policy members;
  friend bool operator==(const policy_changed&, const policy_changed&) = default;
};
/// A row of a snapshot: the truth about this topic, whatever the table has. So a snapshot may
/// follow any part of the history that led to it, and repair what the missing beginning left out.
struct topic_kept {
  topic row;
  friend bool operator==(const topic_kept&, const topic_kept&) = default;
};
/// Ids below are used up. Written in snapshots only, where deleted topics leave no other trace.
struct next_topic_id {
  std::uint32_t value = 1; ///< 1 to topic_id_max + 1
  friend bool operator==(const next_topic_id&, const next_topic_id&) = default;
};

using metadata_entry =
    std::variant<topic_created, topic_deleted, policy_changed, next_topic_id, topic_kept>;

[[nodiscard]] std::vector<std::byte> encode(const metadata_entry& entry);
/// Everything in a returned entry is within its bounds, and encodes to the same bytes again.
/// Errors: unsupported (format version of a newer build), bad_format.
[[nodiscard]] result<metadata_entry> decode_metadata(byte_view bytes);

// --- the table ---------------------------------------------------------------------------------

enum class change_kind : std::uint8_t {
  created, ///< open the topic's logs
  deleted, ///< delete them
  altered, ///< hand them the new policy
  none,    ///< nothing to do
};

struct metadata_change {
  change_kind kind = change_kind::none;
  topic row; ///< as it is now; of a deleted topic as it was
  friend bool operator==(const metadata_change&, const metadata_change&) = default;
};

struct create_request {
  std::string_view name;
  wire::topic_policy policy = {}; ///< missing members are the node's defaults, retention excepted
};

/// What this node can promise at present. Judged when planning, never when applying.
struct metadata_limits {
  std::uint32_t partitions_max = 1; ///< more than one log per topic is a goal
  std::uint32_t replicas_max = 1;   ///< members of the cluster
};

class metadata {
 public:
  /// `defaults` is the policy of topic 0 and of topics created without one.
  explicit metadata(const topic_policy& defaults = {}, metadata_limits limits = {});

  /// Errors: invalid_name (the rule of wire::valid_topic_name; names beginning with "__" are those
  /// of internal logs), topic_exists, throttled (topics_max reached, or ids used up),
  /// invalid_request (a policy out of its range), unsupported (beyond metadata_limits).
  [[nodiscard]] result<metadata_entry> plan_create(const create_request& request,
                                                   std::uint64_t now_s) const;
  /// Errors: topic_not_found, invalid_request (topic 0).
  [[nodiscard]] result<metadata_entry> plan_delete(topic_id id) const;
  /// Errors: topic_not_found, invalid_request (topic 0).
  [[nodiscard]] result<metadata_entry> plan_set_retention(topic_id id, std::uint64_t max_age_secs,
                                                          std::uint64_t max_bytes) const;
  /// Errors: topic_not_found, invalid_request (topic 0, nothing to change, a value out of its
  /// range), unsupported (another number of partitions; beyond metadata_limits).
  [[nodiscard]] result<metadata_entry> plan_set_policy(topic_id id,
                                                       const wire::topic_policy& members) const;

  /// Errors leave the table unchanged: topic_exists (name or id taken or used up),
  /// topic_not_found, throttled (topics_max), invalid_request (next id going back).
  result<metadata_change> apply(const metadata_entry& entry);

  /// Encoded entries that make an empty table (of the same defaults) equal to this one, and also a
  /// table that has applied any latter part of this one's entries. Entries that were planned before
  /// and are applied after it would be undone by it: take it when none is under way.
  [[nodiscard]] std::vector<std::vector<std::byte>> snapshot() const;

  /// Topic 0 included; nullptr when there is none. Valid until the next apply().
  [[nodiscard]] const topic* find(topic_id id) const noexcept;
  [[nodiscard]] const topic* find(std::string_view name) const noexcept;
  /// By id, in ascending order, without topic 0.
  [[nodiscard]] const std::map<topic_id, topic>& topics() const noexcept { return topics_; }
  [[nodiscard]] const topic& default_topic() const noexcept { return default_topic_; }
  /// The id the next topic will get.
  [[nodiscard]] std::uint32_t next_id() const noexcept { return next_id_; }

  friend bool operator==(const metadata& a, const metadata& b) {
    return a.next_id_ == b.next_id_ && a.topics_ == b.topics_;
  }

 private:
  [[nodiscard]] result<topic_policy> complete(const wire::topic_policy& asked) const;
  [[nodiscard]] result<const topic*> changeable(topic_id id) const;
  result<metadata_change> change(const topic_created& entry);
  result<metadata_change> change(const topic_deleted& entry);
  result<metadata_change> change(const policy_changed& entry);
  result<metadata_change> change(const next_topic_id& entry);
  result<metadata_change> change(const topic_kept& entry);
  void insert(const topic& row);

  topic default_topic_;
  metadata_limits limits_;
  std::map<topic_id, topic> topics_;
  std::map<std::string, topic_id, std::less<>> ids_by_name_;
  std::uint32_t next_id_ = 1;
};

} // namespace lance::cluster
