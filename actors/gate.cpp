#include "actors/gate.hpp"

#include "cluster/metadata.hpp"
#include "wire/control_json.hpp"

namespace lance::actors {

using cluster::right;
using wire::command;

namespace {

// The name of the topic a request is about. Nothing: the payload cannot be read. Empty: no topic of
// that id is known here.
std::optional<std::string> topic_of(command code, byte_view payload, const topic_names& names) {
  const auto by_id = [&](std::uint32_t id) { return std::string{names.find(id)}; };
  switch (code) {
  case command::create_topic:
    return std::string{as_text(payload)};
  case command::create_topic_with_retention:
    if (const auto asked = wire::decode_create_with_retention(payload))
      return std::string{asked->name};
    return std::nullopt;
  case command::create_topic_x:
    if (const auto asked = wire::decode_create_topic_x(payload))
      return asked->name;
    return std::nullopt;
  case command::set_topic:
    if (const auto asked = wire::decode_set_topic(payload))
      return asked->name;
    return std::nullopt;
  case command::describe_topic:
  case command::unfence_topic:
    if (const auto asked = wire::decode_describe_topic(payload))
      return asked->name.empty() ? by_id(asked->id.value) : asked->name;
    return std::nullopt;
  default: // all others begin with the id of the topic, which is that of its log
    if (payload.size() < 4)
      return std::nullopt;
    return by_id(load_le<std::uint32_t>(payload.data()));
  }
}

} // namespace

std::string_view topic_names::find(std::uint32_t id) const noexcept {
  if (id == cluster::default_topic_id.value)
    return cluster::default_topic_name;
  const auto found = names_.find(id);
  return found == names_.end() ? std::string_view{} : found->second;
}

demand demand_of(command code) noexcept {
  switch (code) {
  case command::authenticate:
    return {.free = true};
  case command::create_topic:
  case command::create_topic_with_retention:
  case command::create_topic_x:
  case command::delete_topic:
  case command::set_retention:
  case command::set_topic:
  case command::unfence_topic:
    return {.changes = true, .right = right::admin};
  case command::get_topic:
  case command::describe_topic:
    return {.any_right = true};
  case command::fetch:
  case command::fetch_batches:
  case command::offset_lookup:
  case command::subscribe:
  case command::unsubscribe:
  case command::commit_offset:
    return {.right = right::consume};
  default: // lists, status, hello, a producer's name, and whatever is refused afterwards
    return {};
  }
}

verdict judge_ingest(const access_book& book, const caller& who, std::uint32_t topic,
                     const topic_names& names) noexcept {
  if (!book.enabled)
    return verdict::allowed;
  if (!who.known())
    return verdict::not_authenticated;
  if (!book.rules)
    return verdict::allowed;
  const auto name = names.find(topic);
  return !name.empty() && book.rules->allow(who.identities, right::produce, name)
             ? verdict::allowed
             : verdict::not_authorized;
}

verdict judge_request(const access_book& book, const caller& who, command code, byte_view payload,
                      const topic_names& names, std::string& topic) {
  const auto asked = demand_of(code);
  if (!book.enabled || asked.free || (book.write_only && !asked.changes))
    return verdict::allowed;
  if (!who.known())
    return verdict::not_authenticated;
  if (!asked.right && !asked.any_right)
    return verdict::allowed;
  const auto about = topic_of(code, payload, names);
  if (!about)
    return verdict::allowed;
  topic = *about;
  if (!book.rules)
    return verdict::allowed;
  if (topic.empty())
    return verdict::not_authorized;
  const bool may = asked.any_right ? book.rules->allow_any(who.identities, topic)
                                   : book.rules->allow(who.identities, *asked.right, topic);
  return may ? verdict::allowed : verdict::not_authorized;
}

} // namespace lance::actors
