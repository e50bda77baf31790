#include <CLI/CLI.hpp>

#include "client/admin.hpp"
#include "client/cli/commands.hpp"

namespace lance::client::cli {

namespace {

std::string_view word(wire::peer_state state) noexcept {
  switch (state) {
  case wire::peer_state::connecting:
    return "connecting";
  case wire::peer_state::connected:
    return "connected";
  case wire::peer_state::failed:
    return "failed";
  default:
    return "disconnected";
  }
}

std::string describe(const wire::cluster_status& status) {
  std::string text = "node      " + std::to_string(status.node.value) +
                     (status.is_leader ? " (leader)" : "") + "\n";
  text += "mode      " + std::string{status.standalone ? "standalone" : "cluster"} + "\n";
  text += "leader    " + (status.leader ? std::to_string(status.leader->value) : "unknown") + "\n";
  text += "term      " + std::to_string(status.current_term.value) + "\n";
  text += "nodes     " + std::to_string(status.healthy_nodes) + " of " +
          std::to_string(status.node_count) + " healthy\n";
  text += "quorum    " + std::string{status.quorum_available ? "available" : "missing"} + "\n";
  for (const auto& [id, state] : status.peer_states)
    text.append("peer ").append(std::to_string(id)).append("    ").append(word(state)) += '\n';
  return text;
}

exit_code show_status(context& shared) {
  const auto status = admin{shared.connection()}.cluster_status();
  if (!status)
    return shared.give_up(status.error());
  shared.io.out.put(shared.json ? wire::encode(*status) + "\n" : describe(*status));
  return exit_code::done;
}

} // namespace

void add_cluster(CLI::App& app, context& shared) {
  auto* cluster = app.add_subcommand("cluster", "the nodes behind the server");
  cluster->require_subcommand(1);
  auto* status = cluster->add_subcommand("status", "who leads, who is there");
  status->callback([&shared] { shared.action = [&shared] { return show_status(shared); }; });
}

} // namespace lance::client::cli
