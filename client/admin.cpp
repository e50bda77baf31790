#include "client/admin.hpp"

#include <algorithm>
#include <thread>

#include "wire/error_reply.hpp"

namespace lance::client {

namespace {

// Names remembered; beyond that the oldest knowledge is thrown away as a whole.
constexpr std::size_t resolved_max = 10'000;

bool only_retention(const wire::topic_policy& policy) noexcept {
  return !policy.partitions && !policy.replicas && !policy.mode && !policy.durability;
}

tl::unexpected<failure> with_topic(failure what, std::string_view topic) {
  if (what.topic.empty())
    what.topic = topic;
  return tl::unexpected{std::move(what)};
}

} // namespace

std::string_view library_version() noexcept {
  return LANCE_VERSION;
}

admin::admin(const connection_options& options)
    : options_(options), connector_(options), backoff_(options.retry) {}

template <class T>
outcome<T> admin::decoded(result<T> value, std::string_view topic) const {
  if (value)
    return std::move(*value);
  return refuse(errc::bad_frame, "the server's answer cannot be read", node(), topic);
}

// --- topics --------------------------------------------------------------------------------------

outcome<wire::topic_info> admin::create_topic(const std::string& name,
                                              const wire::topic_policy& policy) {
  if (!wire::valid_topic_name(name))
    return refuse(errc::invalid_name,
                  "'" + name + "' is not a topic name: 1 to 255 of A-Z a-z 0-9 - _, and not '0'",
                  {}, name);
  forget(name);
  const auto payload = wire::encode(wire::topic_change_request{name, policy});
  auto reply = call({wire::command::create_topic_x, as_bytes(payload),
                     wire::command::topic_response, effect::changes, name});
  if (!reply && reply.error().code == errc::unsupported && only_retention(policy))
    return create_published(name, policy);
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_topic(reply->payload), name);
}

outcome<wire::topic_info> admin::create_published(const std::string& name,
                                                  const wire::topic_policy& policy) {
  const bool limited = policy.max_age_secs || policy.max_bytes;
  const auto limits = wire::encode(wire::create_with_retention_request{
      name, {policy.max_age_secs.value_or(0), policy.max_bytes.value_or(0)}});
  auto reply = limited ? call({wire::command::create_topic_with_retention, limits,
                               wire::command::topic_response, effect::changes, name})
                       : call({wire::command::create_topic, as_bytes(name),
                               wire::command::topic_response, effect::changes, name});
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_topic(reply->payload), name);
}

outcome<std::vector<wire::topic_info>> admin::list_topics() {
  auto reply = call({wire::command::list_topics, {}, wire::command::topic_response});
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_topic_list(reply->payload), {});
}

outcome<wire::topic_info> admin::find_topic(const std::string& name) {
  auto all = list_topics();
  if (!all)
    return tl::unexpected{all.error()};
  const auto found =
      std::find_if(all->begin(), all->end(), [&](const auto& topic) { return topic.name == name; });
  if (found == all->end())
    return refuse(errc::topic_not_found, "topic '" + name + "' not found", node(), name);
  return std::move(*found);
}

outcome<wire::topic_description> admin::describe_topic(const std::string& name) {
  const auto payload = wire::encode(wire::describe_topic_request{name, {}});
  auto reply = call({wire::command::describe_topic, as_bytes(payload),
                     wire::command::topic_response, effect::none, name});
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_topic_description(reply->payload), name);
}

outcome<wire::topic_description> admin::unfence_topic(const std::string& name) {
  const auto payload = wire::encode(wire::describe_topic_request{name, {}});
  auto reply = call({wire::command::unfence_topic, as_bytes(payload), wire::command::topic_response,
                     effect::changes, name});
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_topic_description(reply->payload), name);
}

outcome<wire::topic_info> admin::set_topic(const std::string& name,
                                           const wire::topic_policy& policy) {
  const auto payload = wire::encode(wire::topic_change_request{name, policy});
  auto reply = call({wire::command::set_topic, as_bytes(payload), wire::command::topic_response,
                     effect::changes, name});
  if (!reply && reply.error().code == errc::unsupported && only_retention(policy))
    return set_published(name, policy);
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_topic(reply->payload), name);
}

outcome<wire::topic_info> admin::set_published(const std::string& name,
                                               const wire::topic_policy& policy) {
  auto topic = find_topic(name);
  if (!topic)
    return topic;
  auto& now = topic->policy;
  now.max_age_secs = policy.max_age_secs ? policy.max_age_secs : now.max_age_secs.value_or(0);
  now.max_bytes = policy.max_bytes ? policy.max_bytes : now.max_bytes.value_or(0);
  const auto payload =
      wire::encode(wire::set_retention_request{topic->id, {*now.max_age_secs, *now.max_bytes}});
  auto reply = call({wire::command::set_retention, payload, wire::command::topic_response,
                     effect::changes, name});
  if (!reply)
    return tl::unexpected{reply.error()};
  return topic;
}

outcome<> admin::delete_topic(const std::string& name) {
  auto topic = find_topic(name);
  if (!topic)
    return tl::unexpected{topic.error()};
  forget(name);
  const auto payload = wire::encode_topic_id(topic->id);
  auto reply = call(
      {wire::command::delete_topic, payload, wire::command::topic_response, effect::changes, name});
  if (!reply)
    return tl::unexpected{reply.error()};
  return {};
}

// --- names to logs -------------------------------------------------------------------------------

outcome<log_id> admin::resolve(const std::string& topic, std::uint32_t partition) {
  const auto known = resolved_.find({topic, partition});
  if (known != resolved_.end())
    return known->second;
  log_id log;
  if (partition == 0) { // its log id is the topic's id: any server can tell
    auto found = find_topic(topic);
    if (!found)
      return tl::unexpected{found.error()};
    log = log_id{found->id.value};
  } else {
    auto description = describe_topic(topic);
    if (!description)
      return tl::unexpected{description.error()};
    const auto& all = description->partitions;
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const auto& one) { return one.partition == partition; });
    if (found == all.end())
      return refuse(errc::topic_not_found,
                    "topic '" + topic + "' has no partition " + std::to_string(partition), node(),
                    topic);
    log = found->log;
  }
  if (resolved_.size() >= resolved_max)
    resolved_.clear();
  resolved_.emplace(std::pair{topic, partition}, log);
  return log;
}

void admin::forget(const std::string& topic) {
  std::erase_if(resolved_, [&](const auto& known) { return known.first.first == topic; });
}

// --- offsets and servers -------------------------------------------------------------------------

outcome<wire::offset_lookup_reply> admin::lookup(log_id log, wire::lookup_kind kind,
                                                 std::uint64_t value) {
  const auto payload = wire::encode(wire::offset_lookup_request{log, kind, value});
  auto reply = call({wire::command::offset_lookup, payload, wire::command::offset_reply});
  if (!reply && reply.error().code == errc::unsupported && kind == wire::lookup_kind::latest)
    return published_end(log);
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_offset_reply(reply->payload), {});
}

outcome<wire::offset_lookup_reply> admin::published_end(log_id log) {
  const auto payload = wire::encode(wire::fetch_request{log, wire::fetch_end_query, 0});
  auto reply = call({wire::command::fetch, payload, wire::command::fetch_response});
  if (!reply)
    return tl::unexpected{reply.error()};
  auto end = decoded(wire::decode_fetch_reply(reply->payload), {});
  if (!end)
    return tl::unexpected{end.error()};
  return wire::offset_lookup_reply{end->head.next, {}, 0};
}

outcome<wire::hello_reply> admin::hello() {
  const auto payload =
      wire::encode(wire::hello_request{"lance-client/" + std::string{library_version()}, {}});
  auto reply = call({wire::command::hello, as_bytes(payload), wire::command::topic_response});
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_hello_reply(reply->payload), {});
}

outcome<wire::cluster_status> admin::cluster_status() {
  auto reply =
      call({wire::command::get_cluster_status, {}, wire::command::cluster_status_response});
  if (!reply)
    return tl::unexpected{reply.error()};
  return decoded(wire::decode_cluster_status(reply->payload), {});
}

// --- one request ---------------------------------------------------------------------------------

outcome<reply_frame> admin::call(const request& what) {
  const auto until = deadline::after(options_.request_timeout);
  backoff_.reset();
  std::optional<failure> refusal; // what a server said tells more than that time ran out
  while (true) {
    bool sent = false;
    auto reply = try_once(what, until, sent);
    if (reply)
      return reply;
    auto problem = std::move(reply.error());
    const bool lost = static_cast<std::uint8_t>(problem.code) >= 0x80;
    if (!lost)
      refusal = problem;
    else if (refusal && until.passed())
      return with_topic(std::move(*refusal), what.topic);
    if (lost && sent && what.does == effect::changes) {
      problem.retriable = false;
      problem.sentence += "; whether the request was carried out is unknown";
    }
    // Nobody there is told at once: all servers have just been tried. A refusal by who does not
    // lead has changed nothing.
    const bool harmless = what.does == effect::none || problem.code == errc::not_leader;
    const bool again = sent && problem.retriable && harmless;
    const auto wait = std::max<std::chrono::nanoseconds>(backoff_.next(), asked_to_wait(problem));
    if (!again || until.left() <= wait)
      return with_topic(std::move(problem), what.topic);
    std::this_thread::sleep_for(wait);
  }
}

outcome<reply_frame> admin::try_once(const request& what, deadline until, bool& sent) {
  if (auto ready = ensure_connected(until); !ready)
    return tl::unexpected{ready.error()};
  sent = true;
  auto reply = channel_->call(wire::control_header(what.code), what.payload, until);
  if (!reply) {
    channel_.reset();
    return reply;
  }
  if (reply->is(what.reply))
    return reply;
  if (!reply->is(wire::command::error_response)) {
    auto surprise =
        refuse(errc::bad_frame, "the server's answer is not one to this request", channel_->node());
    channel_.reset();
    return surprise;
  }
  auto refused = failure_of_reply(reply->payload, channel_->node(), what.topic);
  if (refused.code == errc::not_leader) {
    connector_.prefer(wire::parse_error(as_text(reply->payload)).leader);
    channel_.reset();
  }
  return tl::unexpected{std::move(refused)};
}

outcome<> admin::ensure_connected(deadline until) {
  if (channel_ && !channel_->stale())
    return {};
  channel_.reset();
  auto fresh = connector_.connect(until);
  if (!fresh)
    return tl::unexpected{fresh.error()};
  channel_ = std::move(*fresh);
  return {};
}

} // namespace lance::client
