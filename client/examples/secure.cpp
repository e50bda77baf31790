// A record there and back over TLS, with a token.
//
//   secure <host:port> <topic> <ca.pem> <token file>
#include <chrono>
#include <fstream>
#include <iostream>
#include <span>
#include <string>

#include <lance/client.hpp>

using namespace lance;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  const std::span arguments{argv, static_cast<std::size_t>(argc)};
  if (arguments.size() != 5) {
    std::cerr << "usage: secure <host:port> <topic> <ca.pem> <token file>\n";
    return 2;
  }
  client::connection_options connection;
  if (const auto servers = client::parse_endpoints(arguments[1]))
    connection.servers = *servers;
  connection.dial = client::secure_dialer({.ca = arguments[3]}, &client::dial);
  std::ifstream{arguments[4]} >> connection.token;

  const std::string topic = arguments[2];
  client::admin admin{connection};
  if (const auto made = admin.create_topic(topic); !made) {
    std::cerr << client::to_text(made.error()) << '\n';
    return made.error().code == errc::not_authenticated ? 4 : 1;
  }
  client::producer_options sending;
  sending.connection = connection;
  client::producer out{sending};
  const auto sent = out.send_with_future({.topic = topic, .value = as_bytes("over TLS")});
  (void)out.flush(client::deadline::after(30s));

  client::consumer_options reading;
  reading.connection = connection;
  client::consumer in{reading};
  if (!sent || !in.subscribe(topic))
    return 1;
  const auto records = in.poll(1, client::deadline::after(10s));
  if (!records || records->empty())
    return 1;
  std::cout << as_text((*records)[0].value) << '\n';
}
