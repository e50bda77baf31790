// Sends a few records and waits until each is as durable as its topic promises.
//
//   produce <host:port> <topic> <record>...
#include <chrono>
#include <iostream>
#include <span>

#include <lance/client.hpp>

using namespace lance;

int main(int argc, char** argv) {
  const std::span arguments{argv, static_cast<std::size_t>(argc)};
  if (arguments.size() < 3) {
    std::cerr << "usage: produce <host:port> <topic> <record>...\n";
    return 2;
  }
  const auto servers = client::parse_endpoints(arguments[1]);
  if (!servers) {
    std::cerr << client::to_text(servers.error()) << '\n';
    return 2;
  }
  const std::string topic = arguments[2];

  client::connection_options connection;
  connection.servers = *servers;
  client::admin admin{connection};
  if (const auto made = admin.create_topic(topic);
      !made && made.error().code != errc::topic_exists) {
    std::cerr << client::to_text(made.error()) << '\n';
    return 1;
  }

  client::producer_options options;
  options.connection = connection;
  client::producer out{options};
  for (const auto* record : arguments.subspan(3))
    if (const auto taken = out.send({.topic = topic, .value = as_bytes(record)}); !taken) {
      std::cerr << client::to_text(taken.error()) << '\n';
      return 1;
    }
  using namespace std::chrono_literals;
  if (const auto done = out.flush(client::deadline::after(30s)); !done) {
    std::cerr << client::to_text(done.error()) << '\n';
    return 1;
  }
  std::cout << out.stats().acknowledged << " acknowledged\n";
}
