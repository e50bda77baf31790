// `lnc token` and `lnc acl`: the files a broker reads its tokens and access rules from. Beside
// inspect the only part of the tool that knows how they are kept.
#pragma once

#include "client/cli/context.hpp"

namespace CLI {
class App;
}

namespace lance::client::cli {

void add_token(CLI::App& app, context& shared);
void add_acl(CLI::App& app, context& shared);

} // namespace lance::client::cli
