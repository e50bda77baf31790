// The commands of `lnc`. Each adds its words and options below `app`, and sets context::action when
// it is the one named.
#pragma once

#include <array>

#include "client/cli/context.hpp"

namespace CLI {
class App;
}

namespace lance::client::cli {

using add_command = void (*)(CLI::App& app, context& shared);

void add_produce(CLI::App& app, context& shared);
void add_consume(CLI::App& app, context& shared);
void add_topic(CLI::App& app, context& shared);
void add_cluster(CLI::App& app, context& shared);
void add_bench(CLI::App& app, context& shared);
void add_export(CLI::App& app, context& shared);
void add_import(CLI::App& app, context& shared);
void add_completion(CLI::App& app, context& shared);

/// In the order help lists them.
inline constexpr std::array online_commands{add_produce, add_consume, add_topic, add_cluster,
                                            add_bench,   add_export,  add_import};

} // namespace lance::client::cli
