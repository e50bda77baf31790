#include "cluster/metadata.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace lance::cluster {

namespace {

// Directories of internal logs, e.g. "__meta", lie beside those of topics.
bool reserved(std::string_view name) {
  return name.starts_with("__");
}

result<> in_range(const topic_policy& policy, const metadata_limits& limits) {
  if (policy.partitions < 1 || policy.partitions > wire::topic_partitions_max ||
      policy.replicas < 1 || policy.replicas > wire::topic_replicas_max)
    return fail(errc::invalid_request);
  if (policy.partitions > limits.partitions_max || policy.replicas > limits.replicas_max)
    return fail(errc::unsupported);
  return {};
}

// `base` with the members of `asked` that are there.
topic_policy merged(topic_policy base, const wire::topic_policy& asked) {
  base.partitions = asked.partitions.value_or(base.partitions);
  base.replicas = asked.replicas.value_or(base.replicas);
  base.mode = asked.mode.value_or(base.mode);
  base.level = asked.durability.value_or(base.level);
  if (asked.max_age_secs || asked.max_bytes) {
    const auto before = base.limits.value_or(wire::retention{});
    base.limits = wire::retention{asked.max_age_secs.value_or(before.max_age_secs),
                                  asked.max_bytes.value_or(before.max_bytes)};
  }
  return base;
}

} // namespace

wire::topic_info info_of(const topic& row) {
  wire::topic_policy policy{.partitions = row.policy.partitions,
                            .replicas = row.policy.replicas,
                            .mode = row.policy.mode,
                            .durability = row.policy.level,
                            .max_age_secs = {},
                            .max_bytes = {}};
  if (row.policy.limits) {
    policy.max_age_secs = row.policy.limits->max_age_secs;
    policy.max_bytes = row.policy.limits->max_bytes;
  }
  return {row.id, row.name, row.created_at, row.topic_epoch, policy};
}

metadata::metadata(const topic_policy& defaults, metadata_limits limits)
    : default_topic_{default_topic_id, std::string{default_topic_name}, 0, 1, defaults},
      limits_(limits) {
  LANCE_CHECK(in_range(defaults, limits), defaults.partitions, defaults.replicas);
}

// --- planning ----------------------------------------------------------------------------------

result<metadata_entry> metadata::plan_create(const create_request& request,
                                             std::uint64_t now_s) const {
  if (!wire::valid_topic_name(request.name) || reserved(request.name))
    return fail(errc::invalid_name);
  if (find(request.name) != nullptr)
    return fail(errc::topic_exists);
  auto base = default_topic_.policy;
  base.limits.reset();
  const auto policy = merged(base, request.policy);
  if (const auto fits = in_range(policy, limits_); !fits)
    return tl::unexpected{fits.error()};
  if (topics_.size() >= topics_max || next_id_ > topic_id_max.value)
    return fail(errc::throttled);
  return topic_created{{topic_id{next_id_}, std::string{request.name}, now_s, 1, policy}};
}

result<const topic*> metadata::changeable(topic_id id) const {
  if (id == default_topic_id)
    return fail(errc::invalid_request);
  const auto* row = find(id);
  if (row == nullptr)
    return fail(errc::topic_not_found);
  return row;
}

result<metadata_entry> metadata::plan_delete(topic_id id) const {
  if (const auto row = changeable(id); !row)
    return tl::unexpected{row.error()};
  return topic_deleted{id};
}

result<metadata_entry> metadata::plan_set_retention(topic_id id, std::uint64_t max_age_secs,
                                                    std::uint64_t max_bytes) const {
  wire::topic_policy members;
  members.max_age_secs = max_age_secs;
  members.max_bytes = max_bytes;
  return plan_set_policy(id, members);
}

result<metadata_entry> metadata::plan_set_policy(topic_id id,
                                                 const wire::topic_policy& members) const {
  const auto row = changeable(id);
  if (!row)
    return tl::unexpected{row.error()};
  if (members == wire::topic_policy{})
    return fail(errc::invalid_request);
  const auto& before = (*row)->policy;
  const auto after = merged(before, members);
  // What a topic already has stays allowed, also where this node could not promise it anew.
  const metadata_limits limits{std::max(limits_.partitions_max, before.partitions),
                               std::max(limits_.replicas_max, before.replicas)};
  if (const auto fits = in_range(after, limits); !fits)
    return tl::unexpected{fits.error()};
  if (after.partitions != before.partitions)
    return fail(errc::unsupported);
  return policy_changed{id, members};
}

// --- applying ----------------------------------------------------------------------------------

result<metadata_change> metadata::apply(const metadata_entry& entry) {
  return std::visit([this](const auto& kind) { return change(kind); }, entry);
}

result<metadata_change> metadata::change(const topic_created& entry) {
  const auto& row = entry.row;
  if (row.id > topic_id_max)
    return fail(errc::invalid_request);
  if (row.id.value < next_id_ || find(row.name) != nullptr)
    return fail(errc::topic_exists);
  if (topics_.size() >= topics_max)
    return fail(errc::throttled);
  insert(row);
  return metadata_change{change_kind::created, row};
}

void metadata::insert(const topic& row) {
  topics_.emplace(row.id, row);
  ids_by_name_.emplace(row.name, row.id);
  next_id_ = std::max(next_id_, row.id.value + 1);
}

result<metadata_change> metadata::change(const topic_kept& entry) {
  const auto& row = entry.row;
  if (row.id == default_topic_id || row.id > topic_id_max)
    return fail(errc::invalid_request);
  const auto at = topics_.find(row.id);
  const auto* same_name = find(row.name);
  // A topic never changes its name, so that a name belongs to its id or to nobody.
  const auto* owner = at == topics_.end() ? nullptr : &at->second;
  if (same_name != owner)
    return fail(errc::topic_exists);
  if (owner != nullptr) {
    const auto kind = at->second == row ? change_kind::none : change_kind::altered;
    at->second = row;
    return metadata_change{kind, row};
  }
  if (topics_.size() >= topics_max)
    return fail(errc::throttled);
  insert(row);
  return metadata_change{change_kind::created, row};
}

result<metadata_change> metadata::change(const topic_deleted& entry) {
  const auto at = topics_.find(entry.id);
  if (at == topics_.end())
    return fail(errc::topic_not_found);
  metadata_change done{change_kind::deleted, std::move(at->second)};
  topics_.erase(at);
  ids_by_name_.erase(done.row.name);
  return done;
}

result<metadata_change> metadata::change(const policy_changed& entry) {
  const auto at = topics_.find(entry.id);
  if (at == topics_.end())
    return fail(errc::topic_not_found);
  auto& row = at->second;
  const auto after = merged(row.policy, entry.members);
  const auto kind = after == row.policy ? change_kind::none : change_kind::altered;
  row.policy = after;
  return metadata_change{kind, row};
}

result<metadata_change> metadata::change(const next_topic_id& entry) {
  if (entry.value < next_id_ || entry.value > topic_id_max.value + 1)
    return fail(errc::invalid_request);
  next_id_ = entry.value;
  return metadata_change{};
}

// --- looking -----------------------------------------------------------------------------------

std::vector<std::vector<std::byte>> metadata::snapshot() const {
  std::vector<std::vector<std::byte>> entries;
  entries.reserve(topics_.size() + 1);
  for (const auto& [id, row] : topics_)
    entries.push_back(encode(topic_kept{row}));
  entries.push_back(encode(next_topic_id{next_id_}));
  return entries;
}

const topic* metadata::find(topic_id id) const noexcept {
  if (id == default_topic_id)
    return &default_topic_;
  const auto at = topics_.find(id);
  return at == topics_.end() ? nullptr : &at->second;
}

const topic* metadata::find(std::string_view name) const noexcept {
  if (name == default_topic_name)
    return &default_topic_;
  const auto at = ids_by_name_.find(name);
  return at == ids_by_name_.end() ? nullptr : find(at->second);
}

} // namespace lance::cluster
