// A coroutine that sends records and reads them back.
//
//   coroutine <host:port> <topic> <count>
#include <chrono>
#include <coroutine>
#include <exception>
#include <future>
#include <iostream>
#include <memory>
#include <span>
#include <string>

#include <lance/client.hpp>

using namespace lance;
using namespace std::chrono_literals;

namespace {

// The smallest coroutine type there is: begins at once, its result is a future. Any other will do.
struct task {
  struct promise_type {
    std::promise<int> result;
    task get_return_object() { return {result.get_future()}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(int value) { result.set_value(value); }
    void unhandled_exception() { result.set_exception(std::current_exception()); }
  };
  std::future<int> result;
};

task there_and_back(client::producer& out, client::async_consumer& in, std::string topic,
                    int count) {
  for (int i = 0; i < count; ++i) {
    const auto text = "record " + std::to_string(i);
    const auto end = co_await client::sent(out, {.topic = topic, .value = as_bytes(text)});
    if (end.fate != client::fate::acknowledged) {
      std::cerr << client::to_text(*end.problem) << '\n';
      co_return 1;
    }
  }
  for (int got = 0; got < count;) {
    const auto records = co_await client::received(in, 100, client::deadline::after(10s));
    if (!records || records->empty()) {
      std::cerr << (records ? "nothing came" : client::to_text(records.error())) << '\n';
      co_return 1;
    }
    for (const auto& each : *records)
      if (as_text(each.value) != "record " + std::to_string(got++))
        co_return 1;
  }
  std::cout << count << " there and back\n";
  co_return 0;
}

} // namespace

int main(int argc, char** argv) {
  const std::span arguments{argv, static_cast<std::size_t>(argc)};
  if (arguments.size() != 4) {
    std::cerr << "usage: coroutine <host:port> <topic> <count>\n";
    return 2;
  }
  client::connection_options connection;
  if (const auto servers = client::parse_endpoints(arguments[1]))
    connection.servers = *servers;
  if (const auto made = client::admin{connection}.create_topic(arguments[2]); !made) {
    std::cerr << client::to_text(made.error()) << '\n';
    return 1;
  }
  client::producer_options sending;
  sending.connection = connection;
  sending.linger = 0us;
  client::producer out{sending};
  client::consumer_options reading;
  reading.connection = connection;
  auto reader = std::make_unique<client::consumer>(reading);
  if (const auto begun = reader->subscribe(arguments[2]); !begun) {
    std::cerr << client::to_text(begun.error()) << '\n';
    return 1;
  }
  client::async_consumer in{std::move(reader)};
  return there_and_back(out, in, arguments[2], std::stoi(arguments[3])).result.get();
}
