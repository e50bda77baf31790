// Prints a topic's records from the beginning, up to the end it has when it gets there.
//
//   consume <host:port> <topic>
#include <chrono>
#include <iostream>
#include <span>

#include <lance/client.hpp>

using namespace lance;

int main(int argc, char** argv) {
  const std::span arguments{argv, static_cast<std::size_t>(argc)};
  if (arguments.size() != 3) {
    std::cerr << "usage: consume <host:port> <topic>\n";
    return 2;
  }
  const auto servers = client::parse_endpoints(arguments[1]);
  if (!servers) {
    std::cerr << client::to_text(servers.error()) << '\n';
    return 2;
  }
  client::consumer_options options;
  options.connection.servers = *servers;
  client::consumer in{options};
  if (const auto begun = in.subscribe(arguments[2]); !begun) {
    std::cerr << client::to_text(begun.error()) << '\n';
    return 1;
  }
  using namespace std::chrono_literals;
  while (true) {
    const auto records = in.poll(1000, client::deadline::after(10s));
    if (!records) {
      std::cerr << client::to_text(records.error()) << '\n';
      return 1;
    }
    for (const auto& record : *records) // the views are good until the next poll()
      std::cout << as_text(record.value) << '\n';
    if (records->empty() || in.at_end())
      return 0;
  }
}
