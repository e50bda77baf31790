#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>

#include "client/cli/commands.hpp"

namespace lance::client::cli {

namespace {

// What may follow a chain of commands ("lnc topic"): further commands, then options.
struct step {
  std::string path;
  std::vector<std::string> words;
};

void add_options(const CLI::App& app, std::vector<std::string>& words) {
  for (const auto* option :
       app.get_options([](const CLI::Option* one) { return !one->get_group().empty(); }))
    for (const auto& name : option->get_lnames())
      if (const auto word = "--" + name; std::find(words.begin(), words.end(), word) == words.end())
        words.push_back(word);
}

void collect(const CLI::App& app, const CLI::App& root, const std::string& path,
             std::vector<step>& to) {
  step here{path, {}};
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const auto* command : commands)
    here.words.push_back(command->get_name());
  add_options(app, here.words);
  if (&app != &root)
    add_options(root, here.words);
  to.push_back(std::move(here));
  for (const auto* command : commands)
    collect(*command, root, path + " " + command->get_name(), to);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

// Both shells walk the words typed so far, keep those that extend a known chain, and offer what
// may follow it.
std::string cases(const std::vector<step>& steps) {
  std::string text;
  for (const auto& one : steps)
    text += "    \"" + one.path + "\") offered=\"" + joined(one.words) + "\" ;;\n";
  return text;
}

std::string known_chains(const std::vector<step>& steps) {
  std::string text;
  for (const auto& one : steps)
    text += (text.empty() ? "\"" : "|\"") + one.path + "\"";
  return text;
}

std::string bash_script(const std::vector<step>& steps) {
  return "# bash completion of lnc: source it, or put it into /etc/bash_completion.d\n"
         "_lnc() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" chain=lnc offered= n\n"
         "  for ((n = 1; n < COMP_CWORD; n++)); do\n"
         "    case \"$chain ${COMP_WORDS[n]}\" in\n"
         "    " +
         known_chains(steps) +
         ") chain=\"$chain ${COMP_WORDS[n]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$chain\" in\n" +
         cases(steps) +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$offered\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _lnc lnc\n";
}

std::string zsh_script(const std::vector<step>& steps) {
  return "#compdef lnc\n"
         "# zsh completion of lnc: put it as _lnc into a directory of $fpath\n"
         "_lnc() {\n"
         "  local chain=lnc offered= n\n"
         "  for ((n = 2; n < CURRENT; n++)); do\n"
         "    case \"$chain ${words[n]}\" in\n"
         "    " +
         known_chains(steps) +
         ") chain=\"$chain ${words[n]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$chain\" in\n" +
         cases(steps) +
         "  esac\n"
         "  compadd -- ${=offered}\n"
         "  _files\n"
         "}\n"
         "compdef _lnc lnc\n";
}

std::string fish_script(const std::vector<step>& steps) {
  std::string text = "# fish completion of lnc: put it as lnc.fish into "
                     "~/.config/fish/completions\n"
                     "function __lnc_words\n"
                     "  set -l chain lnc\n"
                     "  for word in (commandline -opc)[2..-1]\n"
                     "    switch \"$chain $word\"\n";
  for (const auto& one : steps)
    text += "    case '" + one.path + "'\n      set chain '" + one.path + "'\n";
  text += "    end\n  end\n  switch \"$chain\"\n";
  for (const auto& one : steps)
    text += "  case '" + one.path + "'\n    string split ' ' -- '" + joined(one.words) + "'\n";
  return text + "  end\nend\ncomplete -c lnc -a '(__lnc_words)'\n";
}

} // namespace

void add_completion(CLI::App& app, context& shared) {
  auto* command =
      app.add_subcommand("completion", "a script that completes lnc's words in a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, &shared, shell] {
    shared.action = [&app, &shared, shell] {
      std::vector<step> steps;
      collect(app, app, "lnc", steps);
      shared.io.out.put(*shell == "bash"  ? bash_script(steps)
                        : *shell == "zsh" ? zsh_script(steps)
                                          : fish_script(steps));
      return exit_code::done;
    };
  });
}

} // namespace lance::client::cli
