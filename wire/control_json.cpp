#include "wire/control_json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <limits>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lance::wire {

namespace {

using json = nlohmann::json;

// --- reading -----------------------------------------------------------------------------------

result<json> parse_object(byte_view payload) {
  const auto text = as_text(payload);
  auto parsed = json::parse(text.begin(), text.end(), nullptr, false); // false: no exceptions
  if (!parsed.is_object())                                             // discarded: neither
    return fail(errc::invalid_request);
  return parsed;
}

result<json> parse_request(byte_view payload) {
  if (payload.size() > json_request_bytes_max)
    return fail(errc::too_large);
  return parse_object(payload);
}

// Reads members of one object into variables that hold their defaults. A member that is missing,
// or null, leaves its variable alone; one of the wrong type or range makes good() false.
class members {
 public:
  explicit members(const json& object) : object_(object) {}

  [[nodiscard]] bool good() const noexcept { return good_; }

  template <std::unsigned_integral T>
  members& number(const char* key, T& to, T least = 0, T most = std::numeric_limits<T>::max()) {
    const auto* found = find(key);
    if (found == nullptr)
      return *this;
    if (!demand(found->is_number_unsigned()))
      return *this;
    const auto value = found->get<std::uint64_t>();
    if (demand(value >= least && value <= most))
      to = static_cast<T>(value);
    return *this;
  }

  template <class Tag, class Rep>
  members& number(const char* key, strong<Tag, Rep>& to) {
    return number(key, to.value);
  }

  template <class T>
  members& number(const char* key, std::optional<T>& to) {
    T value{};
    if (find(key) != nullptr && number(key, value).good_)
      to = value;
    return *this;
  }

  members& number_between(const char* key, std::optional<std::uint32_t>& to, std::uint32_t least,
                          std::uint32_t most) {
    std::uint32_t value = 0;
    if (find(key) != nullptr && number(key, value, least, most).good_)
      to = value;
    return *this;
  }

  members& boolean(const char* key, bool& to) {
    const auto* found = find(key);
    if (found != nullptr && demand(found->is_boolean()))
      to = found->get<bool>();
    return *this;
  }

  members& text(const char* key, std::string& to,
                std::size_t bytes_max = std::numeric_limits<std::size_t>::max()) {
    const auto* found = find(key);
    if (found == nullptr || !demand(found->is_string()))
      return *this;
    const auto& value = found->get_ref<const std::string&>();
    if (demand(value.size() <= bytes_max))
      to = value;
    return *this;
  }

  /// A word of a closed set.
  template <class T>
  members& word(const char* key, std::optional<T>& to,
                std::optional<T> (*parse)(std::string_view)) {
    std::string value;
    if (find(key) == nullptr || !text(key, value).good_)
      return *this;
    to = parse(value);
    demand(to.has_value());
    return *this;
  }

  members& names(const char* key, std::vector<std::string>& to) {
    const auto* found = find(key);
    if (found == nullptr || !demand(found->is_array() && found->size() <= hello_features_max))
      return *this;
    for (const auto& element : *found)
      if (demand(element.is_string() &&
                 element.get_ref<const std::string&>().size() <= hello_name_bytes_max))
        to.push_back(element.get<std::string>());
    return *this;
  }

  /// Calls `visit(element)`, which answers whether it liked it, for each element of an array.
  template <class Visit>
  members& elements(const char* key, Visit visit) {
    const auto* found = find(key);
    if (found != nullptr && demand(found->is_array()))
      demand(std::all_of(found->begin(), found->end(), [&](const json& element) {
        return element.is_object() && visit(element);
      }));
    return *this;
  }

  /// Calls `visit(members)` when there is an object of this name.
  template <class Visit>
  members& object(const char* key, Visit visit) {
    const auto* found = find(key);
    if (found == nullptr || !demand(found->is_object()))
      return *this;
    members inner{*found};
    visit(inner);
    demand(inner.good());
    return *this;
  }

  members& only(std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : object_.items())
      demand(std::find(known.begin(), known.end(), key) != known.end());
    return *this;
  }

 private:
  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  bool demand(bool condition) noexcept {
    good_ = good_ && condition;
    return condition;
  }

  const json& object_;
  bool good_ = true;
};

std::string dump(const json& value) {
  // Text that is not UTF-8 cannot be JSON; a mark in its place is better than an exception.
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// --- topics ------------------------------------------------------------------------------------

template <class T>
void put(json& to, const char* key, const std::optional<T>& value) {
  if (value)
    to[key] = *value;
}

void put_policy(json& to, const topic_policy& policy) {
  put(to, "partitions", policy.partitions);
  put(to, "replicas", policy.replicas);
  put(to, "max_age_secs", policy.max_age_secs);
  put(to, "max_bytes", policy.max_bytes);
  if (policy.mode)
    to["mode"] = to_text(*policy.mode);
  if (policy.durability)
    to["durability"] = to_text(*policy.durability);
}

json topic_object(const topic_info& topic, topic_form form) {
  json object{{"id", topic.id.value},
              {"name", topic.name},
              {"created_at", topic.created_at},
              {"topic_epoch", topic.topic_epoch}};
  const auto& policy = topic.policy;
  const json limits{{"max_age_secs", policy.max_age_secs.value_or(0)},
                    {"max_bytes", policy.max_bytes.value_or(0)}};
  // The published client takes a present null for the policy 0/0: no policy, no key.
  if (policy.max_age_secs || policy.max_bytes)
    object["retention"] = limits;
  if (form == topic_form::flat)
    object.update(limits);
  if (form == topic_form::extended)
    put_policy(object, policy);
  return object;
}

void read_policy(members& from, topic_policy& to) {
  from.number_between("partitions", to.partitions, 1, topic_partitions_max)
      .number_between("replicas", to.replicas, 1, topic_replicas_max)
      .word("mode", to.mode, &parse_ack_mode)
      .word("durability", to.durability, &parse_durability)
      .number("max_age_secs", to.max_age_secs)
      .number("max_bytes", to.max_bytes);
}

void read_topic_identity(members& from, topic_info& to) {
  from.number("id", to.id)
      .text("name", to.name)
      .number("created_at", to.created_at)
      .number("topic_epoch", to.topic_epoch);
  from.object("retention", [&to](members& limits) {
    limits.number("max_age_secs", to.policy.max_age_secs).number("max_bytes", to.policy.max_bytes);
  });
}

bool read_topic(const json& object, topic_info& to) {
  members from{object};
  read_topic_identity(from, to);
  read_policy(from, to.policy);
  auto& policy = to.policy;
  if (policy.max_age_secs || policy.max_bytes) { // a retention has two numbers, 0 is no limit
    policy.max_age_secs = policy.max_age_secs.value_or(0);
    policy.max_bytes = policy.max_bytes.value_or(0);
  }
  return from.good();
}

result<topic_change_request> decode_topic_change(byte_view payload) {
  const auto object = parse_request(payload);
  if (!object)
    return tl::unexpected{object.error()};
  topic_change_request request;
  members from{*object};
  from.only({"name", "partitions", "replicas", "mode", "durability", "max_age_secs", "max_bytes"})
      .text("name", request.name);
  read_policy(from, request.policy);
  if (!from.good())
    return fail(errc::invalid_request);
  if (!valid_topic_name(request.name))
    return fail(errc::invalid_name);
  return request;
}

// --- partitions --------------------------------------------------------------------------------

json partition_object(const partition_info& partition) {
  return {{"partition", partition.partition},
          {"log_id", partition.log.value},
          {"start", partition.start.value},
          {"end", partition.end.value},
          {"durable_end", partition.durable_end.value},
          {"records", partition.records},
          {"first_record", partition.first_record.value},
          {"segments", partition.segments},
          {"bytes", partition.bytes},
          {"state", partition.state}};
}

bool read_partition(const json& object, partition_info& to) {
  return members{object}
      .number("partition", to.partition)
      .number("log_id", to.log)
      .number("start", to.start)
      .number("end", to.end)
      .number("durable_end", to.durable_end)
      .number("records", to.records)
      .number("first_record", to.first_record)
      .number("segments", to.segments)
      .number("bytes", to.bytes)
      .text("state", to.state)
      .good();
}

// --- peers -------------------------------------------------------------------------------------

constexpr std::array<std::string_view, 4> peer_words{"Disconnected", "Connecting", "Connected",
                                                     "Failed"};

std::optional<std::uint16_t> parse_peer_id(const std::string& text) {
  std::uint16_t id = 0;
  const auto* end = text.data() + text.size();
  const auto [at, fault] = std::from_chars(text.data(), end, id);
  return fault == std::errc{} && at == end ? std::optional{id} : std::nullopt;
}

bool read_peers(const json& status, std::map<std::uint16_t, peer_state>& to) {
  const auto peers = status.find("peer_states");
  if (peers == status.end() || peers->is_null())
    return true;
  if (!peers->is_object())
    return false;
  for (const auto& [key, value] : peers->items()) {
    const auto id = parse_peer_id(key);
    if (!id || !value.is_string())
      return false;
    const auto word = std::find(peer_words.begin(), peer_words.end(), value.get<std::string>());
    if (word == peer_words.end())
      return false;
    to[*id] = static_cast<peer_state>(word - peer_words.begin());
  }
  return true;
}

} // namespace

// --- topics ------------------------------------------------------------------------------------

std::string encode_topic(const topic_info& topic, topic_form form) {
  return dump(topic_object(topic, form));
}

std::string encode_topic_list(const std::vector<topic_info>& topics, topic_form form) {
  auto list = json::array();
  for (const auto& topic : topics)
    list.push_back(topic_object(topic, form));
  return dump({{"topics", std::move(list)}});
}

std::string encode_deleted(topic_id topic) {
  return dump({{"deleted", topic.value}});
}

std::string encode_retention_set(const set_retention_request& set) {
  return dump({{"topic_id", set.topic.value},
               {"max_age_secs", set.limits.max_age_secs},
               {"max_bytes", set.limits.max_bytes}});
}

result<topic_info> decode_topic(byte_view payload) {
  const auto object = parse_object(payload);
  if (!object)
    return tl::unexpected{object.error()};
  topic_info topic;
  if (!read_topic(*object, topic))
    return fail(errc::invalid_request);
  return topic;
}

result<std::vector<topic_info>> decode_topic_list(byte_view payload) {
  const auto object = parse_object(payload);
  if (!object)
    return tl::unexpected{object.error()};
  std::vector<topic_info> topics;
  const bool good =
      members{*object}
          .elements("topics",
                    [&](const json& element) { return read_topic(element, topics.emplace_back()); })
          .good();
  if (!good)
    return fail(errc::invalid_request);
  return topics;
}

result<topic_id> decode_deleted(byte_view payload) {
  const auto object = parse_object(payload);
  if (!object)
    return tl::unexpected{object.error()};
  topic_id topic;
  if (!members{*object}.number("deleted", topic).good())
    return fail(errc::invalid_request);
  return topic;
}

result<set_retention_request> decode_retention_set(byte_view payload) {
  const auto object = parse_object(payload);
  if (!object)
    return tl::unexpected{object.error()};
  set_retention_request set;
  if (!members{*object}
           .number("topic_id", set.topic)
           .number("max_age_secs", set.limits.max_age_secs)
           .number("max_bytes", set.limits.max_bytes)
           .good())
    return fail(errc::invalid_request);
  return set;
}

// --- our topic commands ------------------------------------------------------------------------

std::string encode(const topic_change_request& request) {
  json object{{"name", request.name}};
  put_policy(object, request.policy);
  return dump(object);
}

std::string encode(const describe_topic_request& request) {
  return request.name.empty() ? dump({{"id", request.id.value}}) : dump({{"name", request.name}});
}

std::string encode(const topic_description& description) {
  auto object = topic_object(description.topic, topic_form::extended);
  auto partitions = json::array();
  for (const auto& partition : description.partitions)
    partitions.push_back(partition_object(partition));
  object["partitions"] = std::move(partitions);
  return dump(object);
}

result<topic_change_request> decode_create_topic_x(byte_view payload) {
  return decode_topic_change(payload);
}

result<topic_change_request> decode_set_topic(byte_view payload) {
  auto request = decode_topic_change(payload);
  if (request && request->policy == topic_policy{})
    return fail(errc::invalid_request);
  return request;
}

result<describe_topic_request> decode_describe_topic(byte_view payload) {
  const auto object = parse_request(payload);
  if (!object)
    return tl::unexpected{object.error()};
  describe_topic_request request;
  if (!members{*object}
           .only({"name", "id"})
           .text("name", request.name)
           .number("id", request.id)
           .good())
    return fail(errc::invalid_request);
  if (object->contains("name") && !valid_topic_name(request.name))
    return fail(errc::invalid_name);
  if (!object->contains("name") && !object->contains("id"))
    return fail(errc::invalid_request);
  return request;
}

result<topic_description> decode_topic_description(byte_view payload) {
  auto object = parse_object(payload);
  if (!object)
    return tl::unexpected{object.error()};
  topic_description description;
  const bool partitions_good =
      members{*object}
          .elements("partitions",
                    [&](const json& element) {
                      return read_partition(element, description.partitions.emplace_back());
                    })
          .good();
  object->erase("partitions"); // elsewhere this key is a number
  if (!partitions_good || !read_topic(*object, description.topic))
    return fail(errc::invalid_request);
  description.topic.policy.partitions = static_cast<std::uint32_t>(description.partitions.size());
  return description;
}

// --- cluster status ----------------------------------------------------------------------------

std::string encode(const cluster_status& status) {
  auto peers = json::object();
  for (const auto& [id, state] : status.peer_states)
    peers[std::to_string(id)] = peer_words[static_cast<std::size_t>(state)];
  json object{{"node_id", status.node.value},
              {"is_leader", status.is_leader},
              {"leader_id", nullptr},
              {"current_term", status.current_term.value},
              {"node_count", status.node_count},
              {"healthy_nodes", status.healthy_nodes},
              {"quorum_available", status.quorum_available},
              {"peer_states", std::move(peers)}};
  if (status.leader)
    object["leader_id"] = status.leader->value;
  if (status.standalone)
    object["mode"] = "standalone";
  return dump(object);
}

result<cluster_status> decode_cluster_status(byte_view payload) {
  const auto object = parse_object(payload);
  if (!object)
    return tl::unexpected{object.error()};
  cluster_status status;
  std::optional<std::uint16_t> leader;
  std::string mode;
  const bool good = members{*object}
                        .number("node_id", status.node)
                        .boolean("is_leader", status.is_leader)
                        .number("leader_id", leader)
                        .number("current_term", status.current_term)
                        .number("node_count", status.node_count)
                        .number("healthy_nodes", status.healthy_nodes)
                        .boolean("quorum_available", status.quorum_available)
                        .text("mode", mode)
                        .good();
  if (!good || !read_peers(*object, status.peer_states))
    return fail(errc::invalid_request);
  if (leader)
    status.leader = node_id{*leader};
  status.standalone = mode == "standalone";
  return status;
}

// --- hello -------------------------------------------------------------------------------------

std::string encode(const hello_request& request) {
  return dump({{"client", request.client}, {"features", request.features}});
}

std::string encode(const hello_reply& reply) {
  return dump({{"server", reply.server},
               {"node", reply.node.value},
               {"version", reply.version},
               {"features", reply.features},
               {"backend", reply.backend},
               {"limits", {{"max_frame_bytes", reply.max_frame_bytes}}}});
}

result<hello_request> decode_hello(byte_view payload) {
  const auto object = parse_request(payload);
  if (!object)
    return tl::unexpected{object.error()};
  hello_request request;
  if (!members{*object}
           .text("client", request.client, hello_name_bytes_max)
           .names("features", request.features)
           .good())
    return fail(errc::invalid_request);
  return request;
}

result<hello_reply> decode_hello_reply(byte_view payload) {
  const auto object = parse_object(payload);
  if (!object)
    return tl::unexpected{object.error()};
  hello_reply reply;
  members from{*object};
  from.text("server", reply.server)
      .number("node", reply.node)
      .text("version", reply.version)
      .names("features", reply.features)
      .text("backend", reply.backend);
  from.object("limits",
              [&](members& limits) { limits.number("max_frame_bytes", reply.max_frame_bytes); });
  if (!from.good())
    return fail(errc::invalid_request);
  return reply;
}

} // namespace lance::wire
