#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "actors/choice.hpp"
#include "actors/dev_node.hpp"
#include "actors/doctor/doctor.hpp"
#include "actors/system.hpp"
#include "config/keys.hpp"
#include "config/nearest.hpp"
#include "config/print.hpp"
#include "runtime/log.hpp"
#include "storage/data_dir.hpp"
#include "storage/posix_disk.hpp"

namespace {

using lance::config::loaded;
namespace runtime = lance::runtime;

struct arguments {
  std::string file;
  std::string gen_config;
  bool print_config = false;
  bool check = false;
  std::optional<lance::actors::doctor::doctor_options> doctor;
  unsigned dev_nodes = 0;
  std::vector<std::pair<std::string, std::string>> flags;
};

/// Exit codes of the program, as README.md lists them.
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;
constexpr int exit_disk_full = 10; // an operator has to make room: another start alone is in vain

/// A node that gave up for want of space has little to write, and nowhere to write it.
constexpr std::uint64_t last_drain_ms = 2000;

int report_disk_full(const std::string& sentence) {
  std::cerr << "lance: " << sentence
            << "\nlance: make room on that disk (files that are not in the data directory, or a "
               "larger disk), then start again; nothing that was acknowledged is lost\n";
  return exit_disk_full;
}

void block_signals(sigset_t& wanted) {
  sigemptyset(&wanted);
  for (const int each : {SIGTERM, SIGINT, SIGHUP, SIGQUIT})
    sigaddset(&wanted, each);
  // Before any thread is made, so that all inherit it and only the main thread hears of them.
  ::pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

void configure_log(const loaded& from) {
  runtime::configure_log(static_cast<runtime::log_level>(from.values.log.level),
                         static_cast<runtime::log_format>(from.values.log.format));
}

lance::result<> write_ready_file(const std::string& path, const loaded& from,
                                 const lance::actors::bound_addresses& at) {
  if (path.empty())
    return {};
  const nlohmann::json facts{
      {"pid", ::getpid()}, {"node", from.values.node.id},
      {"lwp", at.lwp},     {"peer", at.peer.empty() ? nlohmann::json{} : nlohmann::json(at.peer)},
      {"http", at.http},   {"metrics", at.metrics}};
  const auto door = lance::storage::make_posix_disk({});
  return lance::storage::write_file_atomically(*door, path, lance::as_bytes(facts.dump() + "\n"));
}

/// Waits for signals until one of them ends the process. Its exit code.
int serve(lance::actors::server& server, const arguments& given, const loaded& from,
          const sigset_t& wanted) {
  for (;;) {
    const timespec second{1, 0};
    const int signal = ::sigtimedwait(&wanted, nullptr, &second);
    if (signal < 0) { // a second has passed
      server.refresh(false);
      continue;
    }
    if (signal == SIGHUP) {
      const auto again =
          lance::config::load({given.file, lance::config::process_environment(), given.flags});
      if (again.ok())
        configure_log(again);
      server.refresh(true);
      runtime::log(
          runtime::log_level::info, "reloaded",
          {{"log_level", runtime::name_of(static_cast<runtime::log_level>(
                             again.ok() ? again.values.log.level : from.values.log.level))},
           {"refused", again.ok() ? std::string_view{} : std::string_view{again.errors[0]}}});
      continue;
    }
    if (signal == SIGQUIT) {
      server.flush(from.values.node.drain_timeout_ms);
      ::signal(SIGABRT, SIG_DFL);
      std::abort(); // the operator asked for a core
    }
    const auto gave_up = server.gave_up();
    runtime::log(runtime::log_level::info, "draining", {{"signal", ::strsignal(signal)}});
    const bool in_time =
        server.drain(gave_up.empty() ? from.values.node.drain_timeout_ms : last_drain_ms);
    runtime::log(in_time ? runtime::log_level::info : runtime::log_level::warning, "stopped",
                 {{"in_time", in_time}});
    if (!gave_up.empty())
      return report_disk_full(gave_up);
    return in_time ? 0 : exit_failed;
  }
}

/// Says what is wrong with the words, and which flag an unknown one may mean.
int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success))
    return app.exit(error); // help and version are answers
  std::vector<std::string> flags;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames())
      flags.push_back("--" + name);
  std::cerr << "lance: " << error.what() << '\n';
  for (const auto& word : app.remaining()) {
    const auto flag = word.substr(0, word.find('='));
    const auto meant = lance::config::nearest(flag, flags);
    if (flag.starts_with("--") && !meant.empty())
      std::cerr << "lance: " << flag << " is no flag; did you mean " << meant << "?\n";
  }
  std::cerr << "Try 'lance -h'.\n";
  return exit_usage;
}

int run(const arguments& given, const std::string& throwaway = {}) {
  if (!given.gen_config.empty()) {
    if (given.gen_config == "-") {
      std::cout << lance::config::gen_config();
      return 0;
    }
    std::ofstream file{given.gen_config};
    file << lance::config::gen_config();
    file.close();
    if (!file)
      std::cerr << "lance: cannot write " << given.gen_config << '\n';
    return file ? 0 : exit_failed;
  }
  const auto from =
      lance::config::load({given.file, lance::config::process_environment(), given.flags});
  if (given.doctor)
    return lance::actors::doctor::run_doctor(from, *given.doctor, std::cout, std::cerr);
  for (const auto& notice : from.notices)
    std::cerr << "lance: notice: " << notice << '\n';
  for (const auto& error : from.errors)
    std::cerr << "lance: " << error << '\n';
  if (!from.ok())
    return exit_usage;
  if (given.print_config) {
    std::cout << lance::config::print_config(from)
              << lance::actors::describe_placement(from.values);
    return 0;
  }
  if (given.check) {
    if (const auto wrong = lance::actors::check_files(from.values); !wrong.empty()) {
      std::cerr << "lance: " << wrong << '\n';
      return exit_usage;
    }
    std::cout << "the configuration is good\n";
    return 0;
  }
  sigset_t wanted;
  block_signals(wanted);
  configure_log(from);
  std::string explanation;
  auto server = lance::actors::server::start(from, explanation);
  if (!server) {
    if (lance::storage::no_space(server.error()))
      return report_disk_full(explanation);
    std::cerr << "lance: " << explanation << '\n';
    return server.error().code == lance::errc::bad_config ? exit_usage : exit_failed;
  }
  if (auto written = write_ready_file(from.values.node.ready_file, from, (*server)->addresses());
      !written) {
    std::cerr << "lance: cannot write " << from.values.node.ready_file << ": "
              << lance::describe_error(written.error()) << '\n';
    return exit_failed;
  }
  if (!throwaway.empty())
    std::cout << lance::actors::greeting_of_dev_node((*server)->addresses(), throwaway)
              << std::flush;
  const int code = serve(**server, given, from, wanted);
  if (!from.values.node.ready_file.empty())
    ::unlink(from.values.node.ready_file.c_str());
  if (code != 0 && throwaway.empty())
    std::_Exit(code); // what is left under way belongs to peers that would not let go
  return code;
}

int run_dev(arguments given) {
  if (given.dev_nodes != 1) {
    std::cerr << "lance: dev -n " << given.dev_nodes
              << ": a cluster is not built yet (replication); -n 1 is one node\n";
    return exit_usage;
  }
  auto directory = lance::actors::throwaway_directory::make();
  if (!directory) {
    std::cerr << "lance: dev: no directory can be made below $TMPDIR: "
              << lance::describe_error(directory.error()) << '\n';
    return exit_failed;
  }
  std::string refusal;
  given.flags = lance::actors::flags_of_dev_node(given.flags, directory->path(), refusal);
  if (!refusal.empty()) {
    std::cerr << "lance: " << refusal << '\n';
    return exit_usage;
  }
  const int code = run(given, directory->path());
  if (code != 0) {
    directory->remove();
    std::_Exit(code); // as above
  }
  return code;
}

} // namespace

int main(int count, char** values) {
  arguments given;
  CLI::App app{"LANCE: a log broker. Takes, keeps and serves records over LWP.", "lance"};
  app.set_version_flag("-V,--version", "lance 0.1.0");
  app.add_option("-c,--config", given.file, "TOML file; without it the built-in defaults hold");
  app.add_flag(
      "--print-config", given.print_config,
      "print the effective values with their origin, and what was chosen for this machine");
  app.add_flag("--check", given.check, "validate the configuration and exit");
  app.add_option("--gen-config", given.gen_config,
                 "write a commented file with every key to this path (- for the terminal)");
  for (const auto& key : lance::config::keys())
    if (!key.flag.empty())
      app.add_option_function<std::string>(
          std::string{key.flag},
          [&given, path = key.path()](const std::string& text) {
            given.flags.emplace_back(path, text);
          },
          std::string{key.comment});
  app.fallthrough(); // keys' flags may stand behind a command
  lance::actors::doctor::doctor_options doctor;
  auto* diagnosis = app.add_subcommand(
      "doctor", "say what this machine gives, what of it a node would use, and what to do about "
                "the rest; exit code 0: all well, 1: warnings, 2: it would not run");
  diagnosis->add_flag("--json", doctor.json, "one JSON object instead of text");
  diagnosis->add_flag("--apply", doctor.apply,
                      "steer the network card's interrupts away from the lanes (as root)");
  diagnosis->add_option("--root", doctor.root, "look for /proc and /sys below this directory")
      ->check(CLI::ExistingDirectory);
  diagnosis->callback([&] { given.doctor = doctor; });
  unsigned dev_nodes = 1;
  auto* dev = app.add_subcommand(
      "dev",
      "run a throw-away node on free ports of loopback; prints where it is and the line that "
      "makes lnc talk to it, and removes what it kept when it ends");
  dev->add_option("-n", dev_nodes, "nodes; more than one: not built yet (replication)");
  dev->callback([&] { given.dev_nodes = dev_nodes; });
  app.require_subcommand(0, 1);
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  }
  return dev->parsed() ? run_dev(std::move(given)) : run(given);
}
