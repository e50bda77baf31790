#include "client/cli/access_files.hpp"

#include <cerrno>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/cli/option_checks.hpp"
#include "client/cli/units.hpp"
#include "cluster/access.hpp"
#include "cluster/credentials.hpp"
#include "runtime/clock.hpp"
#include "runtime/secret.hpp"
#include "storage/data_dir.hpp"
#include "storage/posix_disk.hpp"

namespace lance::client::cli {

namespace {

using json = nlohmann::ordered_json;

constexpr std::uint64_t file_bytes_max = 16 * MiB; // what a broker reads

std::uint64_t now_s() {
  return runtime::real_clock{}.wall_ns() / s_in_ns;
}

// A table in a file: read, changed and written as a whole, by one at a time.
template <class Table>
class table_file {
 public:
  table_file(context& shared, std::string path)
      : shared_(shared), path_(std::move(path)), door_(storage::make_posix_disk({})) {}

  /// Reads it; an absent file is an empty table when `may_be_new`. False: told, and `end` says how.
  template <class Parse>
  bool read(bool to_change, bool may_be_new, Parse parse) {
    if (to_change) {
      auto held = door_->lock(path_ + ".lock");
      if (!held)
        return give_up(held.error().system == EWOULDBLOCK ? exit_code::unavailable
                                                          : exit_code::failed,
                       held.error().system == EWOULDBLOCK ? "somebody else is changing it"
                                                          : describe_error(held.error()));
      lock_ = std::move(*held);
    }
    if (!door_->exists(path_))
      return may_be_new || give_up(exit_code::not_found, "no such file");
    const auto text = storage::read_small_file(*door_, path_, file_bytes_max);
    if (!text)
      return give_up(exit_code::failed, describe_error(text.error()));
    std::size_t line = 0;
    std::string why;
    auto parsed = parse(*text, line, why);
    if (!parsed)
      return give_up(exit_code::damaged, "line " + std::to_string(line) + ": " + why);
    table = std::move(*parsed);
    return true;
  }
  exit_code write() {
    const auto text = table.text();
    if (const auto done = storage::write_file_atomically(*door_, path_, as_bytes(text)); !done) {
      give_up(exit_code::failed, describe_error(done.error()));
      return end;
    }
    return exit_code::done;
  }
  bool give_up(exit_code code, const std::string& what) {
    shared_.complain(path_ + ": " + what);
    end = code;
    return false;
  }

  Table table;
  exit_code end = exit_code::done;

 private:
  context& shared_;
  std::string path_;
  std::unique_ptr<storage::disk> door_;
  std::unique_ptr<storage::file_lock> lock_;
};

// --- tokens --------------------------------------------------------------------------------------

using token_file = table_file<cluster::credentials>;

bool read_tokens(token_file& file, bool to_change, bool may_be_new) {
  return file.read(
      to_change, may_be_new, [](std::string_view text, std::size_t& line, std::string& why) {
        auto parsed = cluster::credentials::parse(text, line);
        if (!parsed)
          why = parsed.error().code == errc::unsupported ? "written by a newer version"
                                                         : "no token: name, hash, created, expires";
        return parsed;
      });
}

struct token_words {
  std::string file;
  std::string name;
  std::string expires;
};

exit_code create_token(context& shared, const token_words& words) {
  token_file file{shared, words.file};
  if (!read_tokens(file, true, true))
    return file.end;
  const auto secret = runtime::make_secret();
  if (!secret) {
    shared.complain("the system gave no randomness");
    return exit_code::failed;
  }
  cluster::token_row row{words.name, runtime::hash_secret(as_bytes(*secret)), now_s(), 0};
  if (!words.expires.empty())
    row.expires_s = row.created_s + parse_duration_ns(words.expires).value_or(0) / s_in_ns;
  if (const auto added = file.table.add(row); !added) {
    shared.complain(words.name + (added.error().code == errc::topic_exists
                                      ? ": there is a token of this name already: revoke it first"
                                  : added.error().code == errc::invalid_name
                                      ? ": a name is 1 to 64 of A-Z a-z 0-9 - _ ."
                                      : ": the file holds as many tokens as it may"));
    return added.error().code == errc::invalid_name ? exit_code::usage : exit_code::failed;
  }
  if (const auto written = file.write(); written != exit_code::done)
    return written;
  json told{{"name", words.name}, {"token", *secret}, {"created", row.created_s}};
  if (row.expires_s != 0)
    told["expires"] = row.expires_s;
  shared.io.out.put(shared.json ? told.dump() + "\n" : *secret + "\n");
  shared.notice("this is the only time the token is shown; " + words.file + " keeps its hash");
  return exit_code::done;
}

exit_code list_tokens(context& shared, const token_words& words) {
  token_file file{shared, words.file};
  if (!read_tokens(file, false, false))
    return file.end;
  for (const auto& row : file.table.rows()) {
    const bool expired = row.expired(now_s());
    json told{{"name", row.name}, {"created", row.created_s}};
    if (row.expires_s != 0)
      told["expires"] = row.expires_s;
    told["expired"] = expired;
    const auto until = row.expires_s == 0 ? std::string{"never expires"}
                                          : std::string{expired ? "expired " : "expires "} +
                                                show_time(row.expires_s);
    shared.io.out.put(shared.json ? told.dump() + "\n"
                                  : row.name + "  created " + show_time(row.created_s) + "  " +
                                        until + "\n");
  }
  return exit_code::done;
}

exit_code revoke_token(context& shared, const token_words& words) {
  token_file file{shared, words.file};
  if (!read_tokens(file, true, false))
    return file.end;
  if (!file.table.remove(words.name)) {
    shared.complain(words.name + ": no such token");
    return exit_code::not_found;
  }
  if (const auto written = file.write(); written != exit_code::done)
    return written;
  shared.notice("brokers that read this file turn the token away within a second or two");
  return exit_code::done;
}

// --- rules ---------------------------------------------------------------------------------------

using rule_file = table_file<cluster::access_rules>;

bool read_rules(rule_file& file, bool to_change, bool may_be_new) {
  return file.read(to_change, may_be_new,
                   [](std::string_view text, std::size_t& line, std::string& why) {
                     return cluster::access_rules::parse(text, line, why);
                   });
}

struct rule_words {
  std::string file;
  std::string identity;
  std::string rights;
  std::vector<std::string> topics;
  std::string topic;
};

exit_code allow(context& shared, const rule_words& words) {
  const auto rights = cluster::parse_rights(words.rights);
  if (!rights)
    return shared.wrong_usage("'" + words.rights +
                              "' is no list of produce, consume, group, admin or all");
  rule_file file{shared, words.file};
  if (!read_rules(file, true, true))
    return file.end;
  std::string why;
  if (const auto added = file.table.add({words.identity, *rights, words.topics}, why); !added)
    return shared.wrong_usage(why);
  return file.write();
}

exit_code list_rules(context& shared, const rule_words& words) {
  rule_file file{shared, words.file};
  if (!read_rules(file, false, false))
    return file.end;
  for (const auto& rule : file.table.rules()) {
    json rights = json::array();
    std::string text;
    for (const auto each : {cluster::right::produce, cluster::right::consume, cluster::right::group,
                            cluster::right::admin})
      if ((rule.rights & static_cast<std::uint8_t>(each)) != 0) {
        rights.push_back(cluster::name_of(each));
        text += (text.empty() ? "" : ",") + std::string{cluster::name_of(each)};
      }
    std::string topics;
    for (const auto& each : rule.topics)
      topics += (topics.empty() ? "" : ",") + each;
    const json told{{"identity", rule.identity}, {"rights", rights}, {"topics", rule.topics}};
    shared.io.out.put(shared.json ? told.dump() + "\n"
                                  : rule.identity + "  " + text + "  " + topics + "\n");
  }
  return exit_code::done;
}

exit_code remove_rules(context& shared, const rule_words& words) {
  rule_file file{shared, words.file};
  if (!read_rules(file, true, false))
    return file.end;
  if (file.table.remove(words.identity) == 0) {
    shared.complain(words.identity + ": no rule is about it");
    return exit_code::not_found;
  }
  return file.write();
}

// What a rule file says about somebody, without a broker.
exit_code check_rules(context& shared, const rule_words& words) {
  const auto rights = cluster::parse_rights(words.rights);
  if (!rights)
    return shared.wrong_usage("'" + words.rights + "' is no right");
  rule_file file{shared, words.file};
  if (!read_rules(file, false, false))
    return file.end;
  const std::vector<std::string> who{words.identity};
  bool allowed = true;
  for (const auto each : {cluster::right::produce, cluster::right::consume, cluster::right::group,
                          cluster::right::admin})
    if ((*rights & static_cast<std::uint8_t>(each)) != 0)
      allowed = allowed && file.table.allow(who, each, words.topic);
  shared.io.out.put(shared.json ? json{{"allowed", allowed}}.dump() + "\n"
                                : std::string{allowed ? "allowed\n" : "denied\n"});
  return allowed ? exit_code::done : exit_code::refused;
}

template <class Words>
CLI::App* add_deed(CLI::App& under, context& shared, const std::shared_ptr<Words>& words,
                   const char* name, const char* help, exit_code (*deed)(context&, const Words&)) {
  auto* command = under.add_subcommand(name, help);
  command->add_option("--file", words->file, "the file, as the broker's configuration names it")
      ->required()
      ->type_name("FILE");
  command->callback([&shared, words, deed] {
    shared.action = [&shared, words, deed] { return deed(shared, *words); };
  });
  return command;
}

} // namespace

void add_token(CLI::App& app, context& shared) {
  auto* token = app.add_subcommand("token", "who may come in (auth.token_file)");
  token->require_subcommand(1);
  const auto words = std::make_shared<token_words>();
  auto* create =
      add_deed(*token, shared, words, "create", "make a token and print it, once", create_token);
  create->add_option("name", words->name, "what it is called; its identity is token:NAME")
      ->required();
  create->add_option("--expires", words->expires, "how long it is good, such as 30d; for ever")
      ->type_name("TIME")
      ->check(is_duration());
  add_deed(*token, shared, words, "list", "the tokens, without their secrets", list_tokens);
  auto* revoke = add_deed(*token, shared, words, "revoke", "take a token back", revoke_token);
  revoke->add_option("name", words->name, "what it is called")->required();
}

void add_acl(CLI::App& app, context& shared) {
  auto* acl = app.add_subcommand("acl", "who may do what with which topics (auth.acl)");
  acl->require_subcommand(1);
  const auto words = std::make_shared<rule_words>();
  const auto identity = [&](CLI::App* command) {
    command->add_option("identity", words->identity, "token:NAME, cert:NAME, or * for all known")
        ->required();
  };
  const auto rights = [&](CLI::App* command) {
    command->add_option("rights", words->rights, "produce, consume, group, admin or all")
        ->required();
  };
  auto* more = add_deed(*acl, shared, words, "allow", "add a rule", allow);
  identity(more);
  rights(more);
  more->add_option("topics", words->topics, "names; * stands for any run of characters")
      ->required();
  add_deed(*acl, shared, words, "list", "the rules", list_rules);
  identity(
      add_deed(*acl, shared, words, "remove", "take away all rules of an identity", remove_rules));
  auto* check =
      add_deed(*acl, shared, words, "check", "ask the rules; exit code 4 when denied", check_rules);
  identity(check);
  rights(check);
  check->add_option("topic", words->topic, "a topic's name")->required();
}

} // namespace lance::client::cli
