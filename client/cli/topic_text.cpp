#include "client/cli/topic_text.hpp"

#include <algorithm>

#include "client/cli/units.hpp"

namespace lance::client::cli {

namespace {

void pad(std::string& text, std::size_t width) {
  text.append(width > text.size() ? width - text.size() : 0, ' ');
}

std::string limit_text(const wire::topic_policy& policy) {
  const auto age = policy.max_age_secs.value_or(0);
  const auto bytes = policy.max_bytes.value_or(0);
  std::string text;
  if (age != 0)
    text += show_seconds(age);
  if (bytes != 0)
    text += (text.empty() ? "" : ", ") + show_bytes(bytes);
  return text.empty() ? "everything" : text;
}

std::string policy_text(const wire::topic_policy& policy) {
  std::string text;
  if (policy.mode)
    text.append(wire::to_text(*policy.mode)) += ", ";
  if (policy.durability)
    text.append(wire::to_text(*policy.durability)) += ", ";
  return text + "keeps " + limit_text(policy);
}

void add_line(std::string& text, std::string_view name, std::string_view value) {
  std::string line{name};
  pad(line, 14);
  text += line.append(value) += '\n';
}

void add_partition(std::string& text, const wire::partition_info& one) {
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  add_line(text, "partition",
           number(one.partition) + " (log " + number(one.log.value) +
               (one.state.empty() ? "" : ", " + one.state) + ")");
  add_line(text, "  start", number(one.start.value));
  add_line(text, "  end", number(one.end.value));
  add_line(text, "  durable end", number(one.durable_end.value));
  add_line(text, "  records",
           number(one.records) + ", from number " + number(one.first_record.value));
  add_line(text, "  segments", number(one.segments));
  add_line(text, "  on disk", show_bytes(one.bytes));
}

} // namespace

std::string one_line(const wire::topic_info& topic) {
  return topic.name + " (id " + std::to_string(topic.id.value) + "): " + policy_text(topic.policy);
}

std::string table(std::vector<wire::topic_info> topics) {
  if (topics.empty())
    return {};
  std::sort(topics.begin(), topics.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  std::size_t width = 4;
  for (const auto& topic : topics)
    width = std::max(width, topic.name.size());
  std::string text;
  const auto add_row = [&](const std::string& name, const std::string& id,
                           const std::string& created, const std::string& keeps) {
    std::string row = name;
    pad(row, width + 2);
    row += id;
    pad(row, width + 10);
    row += created;
    pad(row, width + 32);
    text += row.append(keeps) += '\n';
  };
  add_row("NAME", "ID", "CREATED", "KEEPS");
  for (const auto& topic : topics)
    add_row(topic.name, std::to_string(topic.id.value), show_time(topic.created_at),
            limit_text(topic.policy));
  return text;
}

std::string many_lines(const wire::topic_description& topic) {
  const auto& info = topic.topic;
  std::string text;
  add_line(text, "topic", info.name);
  add_line(text, "id", std::to_string(info.id.value));
  add_line(text, "created", show_time(info.created_at));
  if (info.policy.mode)
    add_line(text, "mode", wire::to_text(*info.policy.mode));
  if (info.policy.durability)
    add_line(text, "durability", wire::to_text(*info.policy.durability));
  if (info.policy.replicas)
    add_line(text, "replicas", std::to_string(*info.policy.replicas));
  add_line(text, "keeps", limit_text(info.policy));
  for (const auto& one : topic.partitions)
    add_partition(text, one);
  return text;
}

} // namespace lance::client::cli
