// `lnc segment`: looking into the files of a broker that does not run. The only part of the tool
// that knows storage.
#pragma once

#include "client/cli/context.hpp"

namespace CLI {
class App;
}

namespace lance::client::cli {

void add_segment(CLI::App& app, context& shared);

} // namespace lance::client::cli
