#include "client/cli/run.hpp"

#include <algorithm>
#include <fstream>
#include <memory>

#include <CLI/CLI.hpp>

#include "client/admin.hpp"
#include "client/cli/units.hpp"

namespace lance::client::cli {

namespace {

std::string check_servers(const std::string& text) {
  const auto parsed = parse_endpoints(text);
  return parsed ? std::string{} : parsed.error().sentence;
}

std::string check_timeout(const std::string& text) {
  const auto ns = parse_duration_ns(text);
  constexpr std::uint64_t longest = 24 * 3'600 * s_in_ns;
  const bool good = ns && *ns >= ms_in_ns && *ns <= longest;
  return good ? std::string{}
              : "'" + text + "' is not a time from 1ms to 24h, such as 500ms or 30s";
}

void add_globals(CLI::App& app, context& shared) {
  app.add_option("-s,--server", shared.servers,
                 "where to connect, HOST:PORT[,...]; the first that answers")
      ->envname("LANCE_SERVER")
      ->type_name("HOST:PORT")
      ->check(CLI::Validator{[](std::string& text) { return check_servers(text); }, ""})
      ->capture_default_str();
  app.add_flag("--tls", shared.tls, "encrypt, and believe the system's authorities");
  const auto file = [&app](const char* flag, std::string& into, const char* variable,
                           const char* help) {
    app.add_option(flag, into, help)->envname(variable)->type_name("FILE");
  };
  file("--tls-ca", shared.security.ca, "LANCE_TLS_CA",
       "encrypt, and believe these authorities (PEM)");
  file("--tls-cert", shared.security.cert, "LANCE_TLS_CERT",
       "encrypt, and show this certificate (PEM)");
  file("--tls-key", shared.security.key, "LANCE_TLS_KEY", "the private key of --tls-cert (PEM)");
  app.add_option("--tls-server-name", shared.security.server_name,
                 "the name in the server's certificate, where it is not the host dialled")
      ->type_name("NAME");
  file("--token-file", shared.token_file, "LANCE_TOKEN_FILE",
       "show the token that this file begins with");
  app.add_option("--timeout", shared.timeout, "how long to wait for an answer")
      ->type_name("TIME")
      ->check(CLI::Validator{[](std::string& text) { return check_timeout(text); }, ""})
      ->capture_default_str();
  app.add_flag("--json", shared.json, "machine-readable output, one object per line");
  app.add_flag("-q,--quiet", shared.quiet, "no notices on stderr");
  app.set_version_flag("-V,--version", "lnc " + std::string{library_version()});
}

// The first line of the file named; anything else in it is somebody's comment.
bool read_token(context& shared) {
  if (shared.token_file.empty())
    return true;
  std::ifstream file{shared.token_file};
  std::getline(file, shared.token);
  while (!shared.token.empty() && (shared.token.back() == '\r' || shared.token.back() == ' '))
    shared.token.pop_back();
  if (!shared.token.empty())
    return true;
  shared.complain(shared.token_file + ": no token can be read from it");
  return false;
}

// Help and version are answers; the rest is a mistake in the words.
exit_code tell(const CLI::App& app, const CLI::ParseError& why, console& io) {
  if (why.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    const bool version = dynamic_cast<const CLI::CallForVersion*>(&why) != nullptr;
    const bool all = dynamic_cast<const CLI::CallForAllHelp*>(&why) != nullptr;
    const auto mode = all ? CLI::AppFormatMode::All : CLI::AppFormatMode::Normal;
    io.out.put(version ? std::string{why.what()} + "\n" : app.help("", mode));
    return exit_code::done;
  }
  std::string mistake = why.what();
  // A misspelt command is first missed, and only then unexpected.
  const bool missed = dynamic_cast<const CLI::RequiredError*>(&why) != nullptr;
  if (const auto strange = app.remaining(true);
      missed && !strange.empty() && !strange.front().starts_with('-'))
    mistake = "'" + strange.front() + "' is no command";
  io.errors.put("lnc: " + mistake + "\nTry 'lnc -h' or 'lnc COMMAND -h'.\n");
  return exit_code::usage;
}

} // namespace

exit_code run(std::vector<std::string> words, console& io, std::span<const add_command> offline) {
  context shared{io};
  CLI::App app{"The tool of LANCE: produce, consume, and look after topics.", "lnc"};
  app.require_subcommand(1);
  app.fallthrough(); // global options may stand behind the command
  app.footer("Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 unavailable (a "
             "retry may help), 10 data damaged.");
  add_globals(app, shared);
  for (const auto add : online_commands)
    add(app, shared);
  for (const auto add : offline)
    add(app, shared);
  add_completion(app, shared);

  std::reverse(words.begin(), words.end()); // as CLI11 takes them
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& why) {
    return tell(app, why, io);
  }
  if (!read_token(shared))
    return exit_code::failed;
  auto end = shared.action();
  if (!io.out.flush() && end == exit_code::done) {
    shared.complain("the output could not be written");
    end = exit_code::failed;
  }
  return end;
}

} // namespace lance::client::cli
