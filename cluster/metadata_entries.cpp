// The bytes of the topic table's entries; layouts in cluster/README.md.
#include "cluster/entry.hpp"
#include "cluster/metadata.hpp"
#include "runtime/check.hpp"
#include "wire/fields.hpp"

namespace lance::cluster {

namespace {

constexpr std::size_t created_bytes = 49; // and the name
constexpr std::size_t deleted_bytes = 6;
constexpr std::size_t changed_bytes = 33;
constexpr std::size_t next_id_bytes = 6;
static_assert(created_bytes + wire::topic_name_bytes_max <= entry_bytes_max);

// Which members a policy_changed entry has.
namespace member {
constexpr std::uint8_t partitions = 1;
constexpr std::uint8_t replicas = 2;
constexpr std::uint8_t mode = 4;
constexpr std::uint8_t durability = 8;
constexpr std::uint8_t max_age = 16;
constexpr std::uint8_t max_bytes = 32;
constexpr std::uint8_t all = 63;
} // namespace member

wire::field_writer begin(std::vector<std::byte>& out, entry_kind kind) {
  wire::field_writer to{out.data()};
  to.put(entry_format_version).put(static_cast<std::uint8_t>(kind));
  return to;
}

std::vector<std::byte> row_bytes(entry_kind kind, const topic& row) {
  LANCE_CHECK(row.name.size() <= wire::topic_name_bytes_max, row.name.size());
  const auto limits = row.policy.limits.value_or(wire::retention{});
  std::vector<std::byte> out(created_bytes + row.name.size());
  begin(out, kind)
      .put(row.id)
      .put(row.created_at)
      .put(row.topic_epoch)
      .put(row.policy.partitions)
      .put(row.policy.replicas)
      .put(static_cast<std::uint8_t>(row.policy.mode))
      .put(static_cast<std::uint8_t>(row.policy.level))
      .put(std::uint8_t{row.policy.limits ? std::uint8_t{1} : std::uint8_t{0}})
      .put(limits.max_age_secs)
      .put(limits.max_bytes);
  std::memcpy(out.data() + created_bytes, row.name.data(), row.name.size());
  return out;
}

std::vector<std::byte> bytes_of(const topic_created& entry) {
  return row_bytes(entry_kind::topic_created, entry.row);
}

std::vector<std::byte> bytes_of(const topic_kept& entry) {
  return row_bytes(entry_kind::topic_kept, entry.row);
}

std::vector<std::byte> bytes_of(const topic_deleted& entry) {
  std::vector<std::byte> out(deleted_bytes);
  begin(out, entry_kind::topic_deleted).put(entry.id);
  return out;
}

template <class T>
std::uint8_t bit_if(const std::optional<T>& value, std::uint8_t bit) {
  return value ? bit : std::uint8_t{0};
}

std::uint8_t present(const wire::topic_policy& of) {
  return static_cast<std::uint8_t>(
      bit_if(of.partitions, member::partitions) | bit_if(of.replicas, member::replicas) |
      bit_if(of.mode, member::mode) | bit_if(of.durability, member::durability) |
      bit_if(of.max_age_secs, member::max_age) | bit_if(of.max_bytes, member::max_bytes));
}

std::vector<std::byte> bytes_of(const policy_changed& entry) {
  const auto& members = entry.members;
  std::vector<std::byte> out(changed_bytes);
  begin(out, entry_kind::policy_changed)
      .put(entry.id)
      .put(present(members))
      .put(members.partitions.value_or(0))
      .put(members.replicas.value_or(0))
      .put(members.mode ? static_cast<std::uint8_t>(*members.mode) : std::uint8_t{0})
      .put(members.durability ? static_cast<std::uint8_t>(*members.durability) : std::uint8_t{0})
      .put(members.max_age_secs.value_or(0))
      .put(members.max_bytes.value_or(0));
  return out;
}

std::vector<std::byte> bytes_of(const next_topic_id& entry) {
  std::vector<std::byte> out(next_id_bytes);
  begin(out, entry_kind::next_topic_id).put(entry.value);
  return out;
}

// --- and back ----------------------------------------------------------------------------------

bool is_topic_id(topic_id id) {
  return id != default_topic_id && id <= topic_id_max;
}

bool is_mode(std::uint8_t value) {
  return value <= static_cast<std::uint8_t>(ack_mode::l2);
}

bool is_durability(std::uint8_t value) {
  return value <= static_cast<std::uint8_t>(durability::memory);
}

bool in_range(std::uint32_t count, std::uint32_t most) {
  return count >= 1 && count <= most;
}

result<topic> row_from(byte_view bytes) {
  if (bytes.size() <= created_bytes)
    return fail(errc::bad_format);
  const auto name = as_text(bytes.subspan(created_bytes));
  wire::field_reader fields{bytes.subspan(entry_head_bytes)};
  topic row;
  row.id = fields.take<topic_id>();
  row.created_at = fields.take<std::uint64_t>();
  row.topic_epoch = fields.take<std::uint64_t>();
  row.policy.partitions = fields.take<std::uint32_t>();
  row.policy.replicas = fields.take<std::uint32_t>();
  const auto mode = fields.take<std::uint8_t>();
  const auto level = fields.take<std::uint8_t>();
  const auto limited = fields.take<std::uint8_t>();
  wire::retention limits;
  limits.max_age_secs = fields.take<std::uint64_t>();
  limits.max_bytes = fields.take<std::uint64_t>();
  const bool sound = wire::valid_topic_name(name) && is_topic_id(row.id) && is_mode(mode) &&
                     in_range(row.policy.partitions, wire::topic_partitions_max) &&
                     in_range(row.policy.replicas, wire::topic_replicas_max) &&
                     is_durability(level) && limited <= 1 &&
                     (limited == 1 || limits == wire::retention{});
  if (!sound)
    return fail(errc::bad_format);
  row.name = name;
  row.policy.mode = static_cast<ack_mode>(mode);
  row.policy.level = static_cast<durability>(level);
  if (limited == 1)
    row.policy.limits = limits;
  return row;
}

template <class Entry>
result<metadata_entry> with_row(byte_view bytes) {
  auto row = row_from(bytes);
  if (!row)
    return tl::unexpected{row.error()};
  return Entry{std::move(*row)};
}

result<metadata_entry> deleted_from(byte_view bytes) {
  if (bytes.size() != deleted_bytes)
    return fail(errc::bad_format);
  const auto id = wire::field_reader{bytes.subspan(entry_head_bytes)}.take<topic_id>();
  if (!is_topic_id(id))
    return fail(errc::bad_format);
  return topic_deleted{id};
}

// An absent member has the value 0, so that an entry has one form only.
template <class T>
std::optional<T> if_present(std::uint8_t members, std::uint8_t bit, T value) {
  return (members & bit) != 0 ? std::optional<T>{value} : std::nullopt;
}

result<metadata_entry> changed_from(byte_view bytes) {
  if (bytes.size() != changed_bytes)
    return fail(errc::bad_format);
  wire::field_reader fields{bytes.subspan(entry_head_bytes)};
  const auto id = fields.take<topic_id>();
  const auto members = fields.take<std::uint8_t>();
  const auto partitions = fields.take<std::uint32_t>();
  const auto replicas = fields.take<std::uint32_t>();
  const auto mode = fields.take<std::uint8_t>();
  const auto level = fields.take<std::uint8_t>();
  const auto max_age = fields.take<std::uint64_t>();
  const auto max_bytes = fields.take<std::uint64_t>();
  if (!is_topic_id(id) || members == 0 || members > member::all || !is_mode(mode) ||
      !is_durability(level))
    return fail(errc::bad_format);
  policy_changed entry{id, {}};
  entry.members.partitions = if_present(members, member::partitions, partitions);
  entry.members.replicas = if_present(members, member::replicas, replicas);
  entry.members.mode = if_present(members, member::mode, static_cast<ack_mode>(mode));
  entry.members.durability =
      if_present(members, member::durability, static_cast<durability>(level));
  entry.members.max_age_secs = if_present(members, member::max_age, max_age);
  entry.members.max_bytes = if_present(members, member::max_bytes, max_bytes);
  const auto& policy = entry.members;
  if ((policy.partitions && !in_range(partitions, wire::topic_partitions_max)) ||
      (policy.replicas && !in_range(replicas, wire::topic_replicas_max)))
    return fail(errc::bad_format);
  const bool absent_are_zero =
      (policy.partitions || partitions == 0) && (policy.replicas || replicas == 0) &&
      (policy.mode || mode == 0) && (policy.durability || level == 0) &&
      (policy.max_age_secs || max_age == 0) && (policy.max_bytes || max_bytes == 0);
  if (!absent_are_zero)
    return fail(errc::bad_format);
  return entry;
}

result<metadata_entry> next_id_from(byte_view bytes) {
  if (bytes.size() != next_id_bytes)
    return fail(errc::bad_format);
  const auto value = wire::field_reader{bytes.subspan(entry_head_bytes)}.take<std::uint32_t>();
  if (value < 1 || value > topic_id_max.value + 1)
    return fail(errc::bad_format);
  return next_topic_id{value};
}

} // namespace

std::vector<std::byte> encode(const metadata_entry& entry) {
  return std::visit([](const auto& kind) { return bytes_of(kind); }, entry);
}

result<metadata_entry> decode_metadata(byte_view bytes) {
  const auto kind = kind_of(bytes);
  if (!kind)
    return tl::unexpected{kind.error()};
  switch (*kind) {
  case entry_kind::topic_created:
    return with_row<topic_created>(bytes);
  case entry_kind::topic_kept:
    return with_row<topic_kept>(bytes);
  case entry_kind::topic_deleted:
    return deleted_from(bytes);
  case entry_kind::policy_changed:
    return changed_from(bytes);
  case entry_kind::next_topic_id:
    return next_id_from(bytes);
  case entry_kind::offset_committed:
  case entry_kind::offsets_dropped:
    break;
  }
  return fail(errc::bad_format);
}

} // namespace lance::cluster
