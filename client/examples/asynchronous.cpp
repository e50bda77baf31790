// Three ways to hear what became of a record without waiting for it: a callback, a future, and both
// beside each other. Callbacks run on a thread of the library's own; one that takes its time holds
// nothing up.
//
//   asynchronous <host:port> <topic> <count>
#include <atomic>
#include <chrono>
#include <future>
#include <iostream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <lance/client.hpp>

using namespace lance;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  const std::span arguments{argv, static_cast<std::size_t>(argc)};
  if (arguments.size() != 4) {
    std::cerr << "usage: asynchronous <host:port> <topic> <count>\n";
    return 2;
  }
  client::producer_options options;
  if (const auto servers = client::parse_endpoints(arguments[1]))
    options.connection.servers = *servers;
  options.linger = 1ms;
  client::producer out{options};

  const std::string topic = arguments[2];
  const int count = std::stoi(arguments[3]);
  std::atomic<int> heard{0};
  std::vector<std::future<client::delivery>> futures;
  for (int i = 0; i < count; ++i) {
    const auto text = "record " + std::to_string(i);
    const client::outgoing_record record{.topic = topic, .value = as_bytes(text)};
    if (i % 2 == 0) {
      const auto taken = out.send(record, [&heard](const client::delivery& end) {
        if (end.fate == client::fate::acknowledged)
          ++heard;
        std::this_thread::sleep_for(1ms);
      });
      if (!taken)
        std::cerr << client::to_text(taken.error()) << '\n';
    } else if (auto taken = out.send_with_future(record)) {
      futures.push_back(std::move(*taken));
    }
  }
  int got = 0;
  for (auto& each : futures)
    got += each.get().fate == client::fate::acknowledged ? 1 : 0;
  (void)out.close(client::deadline::after(30s)); // every callback has run when it returns
  std::cout << heard << " by callback, " << got << " by future\n";
  return heard + got == count ? 0 : 1;
}
