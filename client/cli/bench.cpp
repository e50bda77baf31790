#include "client/cli/bench.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/admin.hpp"
#include "client/cli/commands.hpp"
#include "client/cli/interrupt.hpp"
#include "client/cli/option_checks.hpp"
#include "client/cli/progress.hpp"
#include "client/cli/units.hpp"

namespace lance::client::cli {

namespace {

struct bench_options {
  std::string topic; ///< empty: one is made and deleted
  std::string size = "100";
  std::optional<std::uint32_t> batch;
  std::uint32_t window = 1000;
  std::uint32_t connections = 1;
  std::string seconds = "10s";
  std::optional<double> rate;
  std::string fetch_bytes = "1MiB";
};

enum class bench_kind { produce, consume, e2e };

std::string_view name_of(bench_kind kind) noexcept {
  switch (kind) {
  case bench_kind::produce:
    return "produce";
  case bench_kind::consume:
    return "consume";
  default:
    return "e2e";
  }
}

// A topic to read from needs about so much in it, or what two seconds give.
constexpr std::uint64_t preload_ns = 2 * s_in_ns;
// Someone who measures latency asks for a load that leaves the server room to answer.
constexpr double e2e_rate = 1000;

class bench_command {
 public:
  bench_command(context& shared, const bench_options& options, bench_kind kind)
      : shared_(shared), options_(options), kind_(kind), servers_(shared.connection()),
        admin_(servers_) {}

  exit_code run() {
    if (auto ready = prepare(); !ready)
      return give_up(ready.error());
    watch_for_interrupts(); // an interrupted measurement is told, and cleans up
    const auto result = measure();
    if (result.problem)
      return give_up(*result.problem);
    const auto told = describe(result);
    clean_up();
    shared_.io.out.put(shared_.json ? told.dump() + "\n" : as_lines(told));
    return exit_code::done;
  }

 private:
  using json = nlohmann::ordered_json;

  outcome<> prepare() {
    topic_ = options_.topic;
    if (topic_.empty())
      topic_ = "lnc-bench-" + std::to_string(::getpid()) + "-" + std::to_string(deadline::now_ns());
    auto log = admin_.resolve(topic_);
    if (!log && log.error().code == errc::topic_not_found) {
      if (auto made = admin_.create_topic(topic_); !made)
        return tl::unexpected{made.error()};
      log = admin_.resolve(topic_);
    }
    if (!log)
      return tl::unexpected{log.error()};
    load_.log = *log;
    load_.value_bytes = static_cast<std::uint32_t>(*parse_bytes(options_.size));
    load_.batch_records = options_.batch.value_or(kind_ == bench_kind::e2e ? 1 : 100);
    load_.window_records = options_.window;
    load_.duration_ns = *parse_duration_ns(options_.seconds);
    load_.records_per_s =
        options_.rate.value_or(kind_ == bench_kind::e2e ? e2e_rate : 0) / options_.connections;
    return {};
  }

  bench_result measure() {
    if (kind_ == bench_kind::produce)
      return on_connections([&] { return bench_produce(servers_, load_); });
    return kind_ == bench_kind::consume ? measure_consume() : measure_e2e();
  }

  bench_result measure_consume() {
    const auto end = admin_.lookup(load_.log, wire::lookup_kind::latest);
    if (end && end->offset == byte_offset{}) {
      shared_.notice("the topic is empty: filling it first");
      auto filling = load_;
      filling.duration_ns = std::min(preload_ns, load_.duration_ns);
      if (auto filled = bench_produce(servers_, filling); filled.problem)
        return filled;
    }
    const auto bytes = static_cast<std::uint32_t>(*parse_bytes(options_.fetch_bytes));
    return on_connections([&] { return bench_consume(servers_, load_, bytes); });
  }

  bench_result measure_e2e() {
    const auto start = admin_.lookup(load_.log, wire::lookup_kind::latest);
    if (!start) {
      bench_result failed;
      failed.problem = start.error();
      return failed;
    }
    load_.stamped = true;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> expected{0};
    bench_result followed;
    std::thread follower{
        [&] { followed = bench_follow(servers_, load_, start->offset, stop, expected); }};
    const auto sent = on_connections([&] { return bench_produce(servers_, load_); });
    expected = sent.records;
    stop = true;
    follower.join();
    followed.refused = sent.refused;
    if (sent.problem)
      followed.problem = sent.problem;
    return followed;
  }

  // The same loop on every connection, a thread each.
  template <class Loop>
  bench_result on_connections(Loop loop) {
    std::vector<bench_result> results(options_.connections);
    std::atomic<std::size_t> running{results.size()};
    std::vector<std::thread> threads;
    for (auto& result : results)
      threads.emplace_back([&result, &loop, &running] {
        result = loop();
        --running;
      });
    show_time(running);
    for (auto& thread : threads)
      thread.join();
    bench_result all;
    for (const auto& result : results)
      all.add(result);
    return all;
  }

  // On a terminal, how much of the time is over.
  void show_time(const std::atomic<std::size_t>& running) {
    constexpr std::chrono::milliseconds look{50};
    progress bar{shared_, "bench", progress_of::time_ns};
    const auto began = deadline::now_ns();
    while (bar.on() && running > 0) {
      bar.show(std::min(deadline::now_ns() - began, load_.duration_ns), load_.duration_ns);
      std::this_thread::sleep_for(look);
    }
  }

  json describe(const bench_result& result) {
    const auto ns = result.last_ns > result.first_ns ? result.last_ns - result.first_ns : 1;
    const auto seconds = static_cast<double>(ns) / 1e9;
    const auto us = [&](double quantile) {
      return static_cast<double>(result.latency.value_at(quantile)) / 1e3;
    };
    json told{{"bench", name_of(kind_)},
              {"size", load_.value_bytes},
              {"batch", load_.batch_records},
              {"window", load_.window_records},
              {"connections", options_.connections},
              {"records", result.records},
              {"seconds", seconds},
              {"records_per_s", static_cast<double>(result.records) / seconds},
              {"mb_per_s", static_cast<double>(result.value_bytes) / seconds / 1e6},
              {"p50_us", us(0.5)},
              {"p90_us", us(0.9)},
              {"p99_us", us(0.99)},
              {"p99_9_us", us(0.999)},
              {"max_us", static_cast<double>(result.latency.max()) / 1e3},
              {"latency_of", kind_ == bench_kind::produce   ? "ack"
                             : kind_ == bench_kind::consume ? "fetch"
                                                            : "produce to consume"},
              {"corrected", load_.records_per_s > 0}};
    if (load_.records_per_s > 0)
      told["rate"] = load_.records_per_s * options_.connections;
    if (result.refused != 0)
      told["refused"] = result.refused;
    describe_server(told);
    return told;
  }

  void describe_server(json& told) {
    if (options_.topic.size() != 0)
      told["topic"] = topic_;
    const auto topic = admin_.describe_topic(topic_);
    if (topic && topic->topic.policy.mode)
      told["mode"] = wire::to_text(*topic->topic.policy.mode);
    if (topic && topic->topic.policy.durability)
      told["durability"] = wire::to_text(*topic->topic.policy.durability);
    else
      told["durability"] = "not told by the server";
    if (const auto server = admin_.hello()) {
      told["server"] = server->server + " " + server->version;
      told["node"] = server->node.value;
      if (!server->backend.empty())
        told["backend"] = server->backend;
    }
  }

  static std::string as_lines(const json& told) {
    std::string text;
    for (const auto& [name, value] : told.items()) {
      std::string line = name;
      line.append(line.size() < 16 ? 16 - line.size() : 1, ' ');
      text += line + shown(name, value) + "\n";
    }
    return text;
  }

  static std::string shown(const std::string& name, const json& value) {
    if (value.is_string())
      return value.get<std::string>();
    if (name.ends_with("_us"))
      return show_latency(static_cast<std::uint64_t>(value.get<double>() * 1e3));
    if (!value.is_number_float())
      return value.dump();
    std::array<char, 64> digits{};
    std::snprintf(digits.data(), digits.size(), value.get<double>() >= 1000 ? "%.0f" : "%.2f",
                  value.get<double>());
    return digits.data();
  }

  void clean_up() {
    if (!options_.topic.empty())
      return;
    if (const auto gone = admin_.delete_topic(topic_); !gone)
      shared_.notice("topic '" + topic_ + "' is left behind: " + to_text(gone.error()));
  }

  exit_code give_up(const failure& why) {
    clean_up();
    return shared_.give_up(why);
  }

  context& shared_;
  const bench_options& options_;
  bench_kind kind_;
  connection_options servers_;
  admin admin_;
  std::string topic_;
  bench_load load_;
};

CLI::Validator size_between(std::uint64_t least, std::uint64_t most) {
  return CLI::Validator{[least, most](std::string& text) {
                          const auto bytes = parse_bytes(text);
                          const bool good = bytes && *bytes >= least && *bytes <= most;
                          return good ? std::string{}
                                      : "a size from " + show_bytes(least) + " to " +
                                            show_bytes(most);
                        },
                        ""};
}

void add_options(CLI::App& command, bench_options& options, bench_kind kind) {
  command.add_option("--topic", options.topic, "an existing topic; else one is made and deleted")
      ->type_name("NAME")
      ->check(is_topic_name());
  command.add_option("--size", options.size, "of a value")
      ->type_name("SIZE")
      ->check(size_between(kind == bench_kind::e2e ? 8 : 1, MiB))
      ->capture_default_str();
  command.add_option("--batch", options.batch, "records per frame")->check(CLI::Range(1, 10'000));
  command.add_option("--window", options.window, "records in flight per connection")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--connections", options.connections, "each with a thread")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "how long")
      ->type_name("TIME")
      ->check(is_duration())
      ->capture_default_str();
  if (kind == bench_kind::consume)
    command.add_option("--fetch-bytes", options.fetch_bytes, "asked for per request")
        ->type_name("SIZE")
        ->check(size_between(1, 16 * MiB))
        ->capture_default_str();
  else
    command
        .add_option("--rate", options.rate,
                    "records per second, in all; latencies then count from when each was due")
        ->check(CLI::Range(0.001, 1e9));
}

void add_kind(CLI::App& bench, context& shared, bench_kind kind, const std::string& help) {
  auto* command = bench.add_subcommand(std::string{name_of(kind)}, help);
  auto options = std::make_shared<bench_options>();
  add_options(*command, *options, kind);
  command->callback([&shared, options, kind] {
    shared.action = [&shared, options, kind] {
      const auto batch = std::uint64_t{options->batch.value_or(kind == bench_kind::e2e ? 1 : 100)};
      if (batch * (*parse_bytes(options->size) + wire::tlv_header_bytes) > wire::payload_bytes_max)
        return shared.wrong_usage("--batch times --size is more than a frame holds, 16 MiB");
      return bench_command{shared, *options, kind}.run();
    };
  });
}

} // namespace

void add_bench(CLI::App& app, context& shared) {
  auto* bench = app.add_subcommand("bench", "measure a server: throughput and latencies");
  bench->require_subcommand(1);
  add_kind(*bench, shared, bench_kind::produce, "from sending to the acknowledgement");
  add_kind(*bench, shared, bench_kind::consume, "reading a topic over and over");
  add_kind(*bench, shared, bench_kind::e2e, "from producing to consuming");
}

} // namespace lance::client::cli
