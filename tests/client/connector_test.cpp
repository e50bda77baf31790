#include "client/connector.hpp"

#include <catch2/catch.hpp>

#include "tests/client/fake_server.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::testing;

namespace {

// Nobody listens here: the port was just given back.
endpoint nobody() {
  const fake_server gone{[](peer&, int) {}};
  return gone.where();
}

void wait_for_end(peer& from, int) {
  while (from.read()) {
  }
}

} // namespace

TEST_CASE("nobody there is a retriable failure that names the server") {
  connection_options options;
  options.servers = {nobody()};
  const auto line = connector{options}.connect(soon());
  REQUIRE_FALSE(line);
  CHECK(line.error().code == errc::io_failed);
  CHECK(line.error().retriable);
  CHECK(line.error().node == to_text(options.servers[0]));
  CHECK(line.error().sentence.find("refused") != std::string::npos);
}

TEST_CASE("a host that does not exist is told as such") {
  const auto line = dial({"no-such-host.invalid", 1}, soon());
  REQUIRE_FALSE(line);
  CHECK(line.error().sentence.find("looking up") != std::string::npos);
}

TEST_CASE("the first server that answers is taken, and stays the first") {
  fake_server server{wait_for_end};
  auto options = server.options();
  options.servers.insert(options.servers.begin(), nobody());
  std::vector<endpoint> dialled;
  options.dial = [&](const endpoint& where, deadline until) {
    dialled.push_back(where);
    return dial(where, until);
  };
  connector to{options};
  REQUIRE(to.connect(soon()));
  const auto again = to.connect(soon());
  REQUIRE(again);
  CHECK((*again)->node() == to_text(server.where()));
  CHECK(dialled.size() == 3);
}

TEST_CASE("a leader that was named is tried first, nonsense is not") {
  std::vector<std::string> dialled;
  connection_options options;
  options.servers = {{"a", 1}, {"b", 2}};
  options.dial = [&](const endpoint& where, deadline) -> outcome<std::unique_ptr<transport>> {
    dialled.push_back(to_text(where));
    return refuse(errc::io_failed, "not today");
  };
  connector to{options};
  to.prefer("b:2");
  to.prefer("");
  to.prefer("not an address");
  CHECK_FALSE(to.connect(soon()));
  to.prefer("10.0.0.9:1992");
  CHECK_FALSE(to.connect(soon()));
  CHECK(dialled == std::vector<std::string>{"b:2", "a:1", "10.0.0.9:1992", "a:1", "b:2"});
}
