#include <memory>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "client/admin.hpp"
#include "client/cli/commands.hpp"
#include "client/cli/line_reader.hpp"
#include "client/cli/option_checks.hpp"
#include "client/cli/topic_text.hpp"
#include "client/cli/units.hpp"

namespace lance::client::cli {

namespace {

struct topic_options {
  std::string name;
  std::optional<std::uint32_t> partitions;
  std::optional<std::uint32_t> replicas;
  std::optional<std::string> mode;
  std::optional<std::string> durability;
  std::optional<std::string> max_age;
  std::optional<std::string> max_bytes;
  bool yes = false;
};

wire::topic_policy policy_of(const topic_options& options) {
  wire::topic_policy policy;
  policy.partitions = options.partitions;
  policy.replicas = options.replicas;
  if (options.mode)
    policy.mode = wire::parse_ack_mode(*options.mode);
  if (options.durability)
    policy.durability = wire::parse_durability(*options.durability);
  if (options.max_age) {
    const auto ns = *parse_duration_ns(*options.max_age);
    policy.max_age_secs = (ns + s_in_ns - 1) / s_in_ns; // a positive age never becomes "no limit"
  }
  if (options.max_bytes)
    policy.max_bytes = parse_bytes(*options.max_bytes);
  return policy;
}

exit_code tell(context& shared, const outcome<wire::topic_info>& topic, std::string_view deed) {
  if (!topic)
    return shared.give_up(topic.error());
  if (shared.json)
    shared.io.out.put(wire::encode_topic(*topic, wire::topic_form::extended) + "\n");
  else
    shared.io.out.put(std::string{deed} + " " + one_line(*topic) + "\n");
  return exit_code::done;
}

exit_code create(context& shared, const topic_options& options) {
  admin server{shared.connection()};
  return tell(shared, server.create_topic(options.name, policy_of(options)), "created");
}

exit_code change(context& shared, const topic_options& options) {
  const auto policy = policy_of(options);
  if (policy == wire::topic_policy{})
    return shared.wrong_usage("topic set: nothing to change; see 'lnc topic set -h'");
  admin server{shared.connection()};
  return tell(shared, server.set_topic(options.name, policy), "changed");
}

exit_code list(context& shared) {
  const auto topics = admin{shared.connection()}.list_topics();
  if (!topics)
    return shared.give_up(topics.error());
  if (shared.json)
    for (const auto& topic : *topics)
      shared.io.out.put(wire::encode_topic(topic, wire::topic_form::extended) + "\n");
  else
    shared.io.out.put(table(*topics));
  return exit_code::done;
}

exit_code describe(context& shared, const topic_options& options) {
  admin server{shared.connection()};
  auto topic = server.describe_topic(options.name);
  if (!topic && topic.error().code == errc::unsupported) // LWP v1: the id at least
    return tell(shared, server.find_topic(options.name), "topic");
  if (!topic)
    return shared.give_up(topic.error());
  shared.io.out.put(shared.json ? wire::encode(*topic) + "\n" : many_lines(*topic));
  return exit_code::done;
}

exit_code unfence(context& shared, const topic_options& options) {
  const auto topic = admin{shared.connection()}.unfence_topic(options.name);
  if (!topic)
    return shared.give_up(topic.error());
  if (shared.json)
    shared.io.out.put(wire::encode(*topic) + "\n");
  else
    shared.io.out.put("unfenced " + options.name + "\n" + many_lines(*topic));
  return exit_code::done;
}

// Off a terminal there is nobody to ask.
bool confirmed(context& shared, const topic_options& options) {
  if (options.yes)
    return true;
  if (!shared.io.input_is_terminal()) {
    shared.complain("deleting topic '" + options.name + "' and its data needs --yes");
    return false;
  }
  shared.io.errors.put("Delete topic '" + options.name + "' and all its data? [y/N] ");
  shared.io.errors.flush();
  const auto answer = line_reader{shared.io.input}.next();
  return answer && *answer && (as_text(**answer) == "y" || as_text(**answer) == "yes");
}

exit_code remove(context& shared, const topic_options& options) {
  if (!confirmed(shared, options))
    return exit_code::failed;
  if (const auto deleted = admin{shared.connection()}.delete_topic(options.name); !deleted)
    return shared.give_up(deleted.error());
  if (shared.json)
    shared.io.out.put("{\"deleted\":\"" + options.name + "\"}\n"); // a name needs no escapes
  else
    shared.io.out.put("deleted " + options.name + "\n");
  return exit_code::done;
}

std::shared_ptr<topic_options> add_name(CLI::App& command, bool checked) {
  auto options = std::make_shared<topic_options>();
  auto* name = command.add_option("name", options->name, "the topic")->required();
  if (checked)
    name->check(is_topic_name());
  return options;
}

void add_policy(CLI::App& command, topic_options& options) {
  command
      .add_option("--mode", options.mode, "when an ack leaves: L1 the leader has it, L2 a majority")
      ->check(CLI::IsMember({"L1", "L2"}, CLI::ignore_case));
  command.add_option("--durability", options.durability, "what \"has it\" means")
      ->check(CLI::IsMember({"fsync", "written", "memory"}));
  command.add_option("--max-age", options.max_age, "drop older data; 0 keeps it")
      ->type_name("TIME")
      ->check(is_duration());
  command
      .add_option("--max-bytes", options.max_bytes, "drop the oldest data beyond this; 0 keeps it")
      ->type_name("SIZE")
      ->check(is_bytes());
}

using topic_deed = exit_code (*)(context&, const topic_options&);

void act(CLI::App& command, context& shared, std::shared_ptr<topic_options> options,
         topic_deed deed) {
  command.callback([&shared, options = std::move(options), deed] {
    shared.action = [&shared, options, deed] { return deed(shared, *options); };
  });
}

} // namespace

void add_topic(CLI::App& app, context& shared) {
  auto* topic = app.add_subcommand("topic", "make, list, describe, change and delete topics");
  topic->require_subcommand(1);

  auto* created = topic->add_subcommand("create", "make a topic");
  auto options = add_name(*created, true);
  created->add_option("--partitions", options->partitions, "how many logs")
      ->check(CLI::Range(1U, wire::topic_partitions_max));
  created->add_option("--replicas", options->replicas, "how many nodes have each log")
      ->check(CLI::Range(1U, wire::topic_replicas_max));
  add_policy(*created, *options);
  act(*created, shared, std::move(options), create);

  auto* listed = topic->add_subcommand("list", "all topics");
  listed->callback([&shared] { shared.action = [&shared] { return list(shared); }; });

  auto* described = topic->add_subcommand("describe", "a topic's policy and extent");
  act(*described, shared, add_name(*described, false), describe);

  auto* changed = topic->add_subcommand("set", "change a topic's policy");
  options = add_name(*changed, false);
  add_policy(*changed, *options);
  act(*changed, shared, std::move(options), change);

  auto* unfenced = topic->add_subcommand(
      "unfence", "recover a topic whose log takes no writes since one failed");
  act(*unfenced, shared, add_name(*unfenced, false), unfence);

  auto* deleted = topic->add_subcommand("delete", "delete a topic and its data");
  options = add_name(*deleted, false);
  deleted->add_flag("-y,--yes", options->yes, "do not ask");
  act(*deleted, shared, std::move(options), remove);
}

} // namespace lance::client::cli
