// lnc: the one tool.
#include <string>
#include <vector>

#include "client/cli/access_files.hpp"
#include "client/cli/inspect.hpp"
#include "client/cli/run.hpp"

int main(int argc, char** argv) {
  using namespace lance::client::cli;
  console io;
  const std::array offline{add_command{add_segment}, add_command{add_token}, add_command{add_acl}};
  return static_cast<int>(run(std::vector<std::string>(argv + 1, argv + argc), io, offline));
}
