// lance_load: loads a running broker over raw sockets and prints one JSON object: what went through
// in the counted part of the run, every latency's percentiles, and the CPU seconds of the broker
// and of itself in exactly that part.
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/load_connection.hpp"
#include "bench/load_crowd.hpp"
#include "bench/load_fetch.hpp"
#include "bench/load_ingest.hpp"
#include "bench/measured.hpp"
#include "runtime/types.hpp"
#include "wire/control_json.hpp"

namespace lance::bench {
namespace {

struct choices {
  dial_plan server;
  std::string tls_ca;
  unsigned handshakes = 1000;
  crowd_plan crowd;
  pid_t broker = 0;
  double seconds = 2;
  double warm_up_seconds = 0.3;
  std::string durability = "fsync";
  std::uint64_t max_bytes = 0;
  std::string name = "bench";
  unsigned connections = 1;
  bool keep = false;
  std::uint32_t log = 0;
  ingest_plan ingest;
  fetch_plan fetch;
};

struct cpu_seconds {
  double broker = 0;
  double load = 0;
};

cpu_seconds cpu_now(const choices& chosen) {
  return {chosen.broker == 0 ? 0 : cpu_seconds_of(chosen.broker), own_cpu_seconds()};
}

nlohmann::json to_json(std::uint64_t bytes, double seconds, cpu_seconds from, cpu_seconds to) {
  return {{"bytes", bytes},
          {"seconds", seconds},
          {"mb_per_s", static_cast<double>(bytes) / seconds / 1e6},
          {"broker_cpu_s", to.broker - from.broker},
          {"load_cpu_s", to.load - from.load}};
}

std::uint64_t in_ns(double seconds) {
  return static_cast<std::uint64_t>(seconds * 1e9);
}

std::uint32_t create_topic(load_connection& connection, const std::string& name,
                           const choices& chosen) {
  wire::topic_change_request request;
  request.name = name;
  request.policy.durability = wire::parse_durability(chosen.durability);
  if (chosen.max_bytes > 0)
    request.policy.max_bytes = chosen.max_bytes;
  const auto json = wire::encode(request);
  const auto reply =
      connection.ask(wire::command::create_topic_x, as_bytes(json), wire::command::topic_response);
  const auto topic = wire::decode_topic(reply.payload);
  if (!topic)
    give_up("CreateTopicX was not answered with a topic");
  return topic->id.value;
}

void delete_topic(load_connection& connection, std::uint32_t id) {
  (void)connection.ask(wire::command::delete_topic, wire::encode_topic_id(topic_id{id}),
                       wire::command::topic_response);
}

// One connection, one thread, one topic.
struct ingest_worker {
  ingest_worker(const choices& chosen, log_id log)
      : connection(chosen.server), loop(connection, log, chosen.ingest) {}
  load_connection connection;
  ingest_loop loop;
  ingest_outcome outcome;
};

nlohmann::json report(std::vector<std::unique_ptr<ingest_worker>>& workers, double seconds,
                      cpu_seconds from, cpu_seconds to) {
  ingest_outcome all;
  std::vector<double> each;
  for (const auto& worker : workers) {
    const auto& one = worker->outcome;
    all.frames += one.frames;
    all.payload_bytes += one.payload_bytes;
    all.refused += one.refused;
    all.sends += one.sends;
    all.acks.merge(one.acks);
    each.push_back(static_cast<double>(one.payload_bytes) / seconds / 1e6);
  }
  auto json = to_json(all.payload_bytes, seconds, from, to);
  json["frames"] = all.frames;
  json["refused"] = all.refused;
  json["sends"] = all.sends;
  json["connections_mb_per_s"] = each;
  json["ack"] = all.acks.summary();
  return json;
}

void ingest(const choices& chosen) {
  load_connection control(chosen.server);
  std::vector<std::uint32_t> topics;
  std::vector<std::unique_ptr<ingest_worker>> workers;
  for (unsigned i = 0; i < chosen.connections; ++i) {
    topics.push_back(create_topic(control, chosen.name + "-" + std::to_string(i), chosen));
    workers.push_back(std::make_unique<ingest_worker>(chosen, log_id{topics.back()}));
  }
  const bool counts_frames = chosen.ingest.frames > 0;
  const auto began = now_ns();
  span_ns counted{began, ~std::uint64_t{0}};
  if (!counts_frames)
    counted = {began + in_ns(chosen.warm_up_seconds),
               began + in_ns(chosen.warm_up_seconds + chosen.seconds)};
  std::vector<std::jthread> threads;
  for (auto& worker : workers)
    threads.emplace_back([&each = *worker, counted] { each.outcome = each.loop.run(counted); });
  sleep_until_ns(counted.begin);
  const auto before = cpu_now(chosen);
  if (!counts_frames)
    sleep_until_ns(counted.end);
  else
    threads.clear(); // joins
  const auto after = cpu_now(chosen);
  const auto ended = now_ns();
  threads.clear();
  auto json = report(workers, static_cast<double>(ended - counted.begin) / 1e9, before, after);
  json["topics"] = topics;
  if (!chosen.keep)
    for (const auto each : topics)
      delete_topic(control, each);
  std::puts(json.dump().c_str());
}

// One connection, one thread.
struct fetch_worker {
  fetch_worker(const choices& chosen, std::uint64_t begin)
      : connection(chosen.server), loop(connection, chosen.fetch, begin) {}
  load_connection connection;
  fetch_loop loop;
  fetch_outcome outcome;
};

void fetch(choices chosen) {
  chosen.fetch.log = log_id{chosen.log};
  std::vector<std::unique_ptr<fetch_worker>> workers;
  for (unsigned i = 0; i < chosen.connections; ++i)
    workers.push_back(
        std::make_unique<fetch_worker>(chosen, chosen.fetch.log_bytes / chosen.connections * i));
  const auto before = cpu_now(chosen);
  const auto began = now_ns();
  std::vector<std::jthread> threads;
  for (auto& worker : workers)
    threads.emplace_back([&each = *worker, end = began + in_ns(chosen.seconds)] {
      each.outcome = each.loop.run(end);
    });
  threads.clear(); // joins
  const auto seconds = static_cast<double>(now_ns() - began) / 1e9;
  fetch_outcome outcome;
  for (const auto& worker : workers) {
    outcome.replies += worker->outcome.replies;
    outcome.data_bytes += worker->outcome.data_bytes;
    outcome.short_replies += worker->outcome.short_replies;
    outcome.verified += worker->outcome.verified;
    outcome.replies_taken.merge(worker->outcome.replies_taken);
  }
  auto json = to_json(outcome.data_bytes, seconds, before, cpu_now(chosen));
  json["replies"] = outcome.replies;
  json["reply_bytes"] = workers.front()->loop.reply_bytes();
  json["short_replies"] = outcome.short_replies;
  json["verified"] = outcome.verified;
  json["reply"] = outcome.replies_taken.summary();
  std::puts(json.dump().c_str());
}

void delete_one(const choices& chosen) {
  load_connection connection(chosen.server);
  delete_topic(connection, chosen.log);
}

// Full handshakes one after the other, each on a connection of its own that ends right after.
void shake_hands(const choices& chosen) {
  if (!chosen.server.tls)
    give_up("handshakes need --tls-ca");
  const auto before = cpu_now(chosen);
  const auto began = now_ns();
  for (unsigned i = 0; i < chosen.handshakes; ++i) {
    load_connection one(chosen.server);
    one.finish();
  }
  const auto seconds = static_cast<double>(now_ns() - began) / 1e9;
  auto json = to_json(0, seconds, before, cpu_now(chosen));
  json["handshakes"] = chosen.handshakes;
  std::puts(json.dump().c_str());
}

void describe_ingest(CLI::App& command, choices& chosen) {
  auto& plan = chosen.ingest;
  command.add_option("--durability", chosen.durability, "of the topics made for this run")
      ->check(CLI::IsMember({"fsync", "written", "memory"}));
  command.add_option("--max-bytes", chosen.max_bytes, "to which they are cut; 0: not at all");
  command.add_option("--name", chosen.name, "first part of the topics' names");
  command.add_option("--connections", chosen.connections, "each with a thread and a topic")
      ->check(CLI::Range(1, 64));
  command.add_option("--record", plan.record_bytes, "bytes, with the TLV header of 5")
      ->check(CLI::Range(16, 1 << 20));
  command.add_option("--batch", plan.batch_records, "records per frame")
      ->check(CLI::Range(1, 16384));
  command.add_option("--window", plan.window_frames, "frames in flight")
      ->check(CLI::Range(1, 65536));
  command.add_option("--frames", plan.frames, "per connection, instead of a time");
  command.add_option("--rate", plan.mb_per_s, "MB/s of payload per connection; 0: all there is");
  command.add_option("--warm-up", chosen.warm_up_seconds, "seconds that do not count");
  command.add_flag("--keep", chosen.keep, "leave the topics");
}

void describe_fetch(CLI::App& command, choices& chosen) {
  auto& plan = chosen.fetch;
  command.add_option("--log", chosen.log, "id")->required();
  command.add_option("--log-bytes", plan.log_bytes, "how much of it to read")->required();
  command.add_option("--fetch", plan.fetch_bytes, "bytes to ask for at once")
      ->check(CLI::Range(1024, 16 << 20));
  command.add_option("--in-flight", plan.in_flight, "requests")->check(CLI::Range(1, 64));
  command.add_flag("--once", plan.once, "end at the log's end");
  command
      .add_option("--connections", chosen.connections,
                  "each with a thread, beginning at its own part of the log")
      ->check(CLI::Range(1, 64));
}

} // namespace
} // namespace lance::bench

int main(int argc, char** argv) {
  using namespace lance::bench;
  choices chosen;
  CLI::App app{"Load on a running LANCE broker"};
  app.require_subcommand(1);
  app.add_option("--server", chosen.server.address, "ip:port")->required();
  app.add_option("--broker", chosen.broker, "its process, to read its CPU time");
  app.add_option("--seconds", chosen.seconds, "that count");
  app.add_option("--tls-ca", chosen.tls_ca,
                 "whom to believe, PEM; without it nothing is encrypted");
  auto* ingesting = app.add_subcommand("ingest", "frames of records, acknowledged");
  describe_ingest(*ingesting, chosen);
  auto* fetching = app.add_subcommand("fetch", "a log, in pieces");
  describe_fetch(*fetching, chosen);
  auto* deleting = app.add_subcommand("delete", "a topic");
  deleting->add_option("--log", chosen.log, "id")->required();
  auto* shaking = app.add_subcommand("handshakes", "full ones, one after the other");
  shaking->add_option("--count", chosen.handshakes, "")->check(CLI::Range(1, 1 << 20));
  auto* crowding = app.add_subcommand("crowd", "of connections that do nothing, until stdin ends");
  crowding->add_option("--idle", chosen.crowd.idle, "open")->check(CLI::Range(0, 16384));
  crowding->add_option("--half", chosen.crowd.half, "in the middle of their handshake")
      ->check(CLI::Range(0, 16384));
  CLI11_PARSE(app, argc, argv);
  if (!chosen.tls_ca.empty())
    chosen.server.tls = std::make_shared<tls_setup>(tls_setup::client(chosen.tls_ca));
  if (shaking->parsed())
    shake_hands(chosen);
  else if (crowding->parsed())
    hold_crowd(chosen.server, chosen.crowd);
  else if (ingesting->parsed())
    ingest(chosen);
  else if (fetching->parsed())
    fetch(chosen);
  else
    delete_one(chosen);
}
