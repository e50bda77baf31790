#include "actors/system.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <span>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <unistd.h>

#include "actors/access_watch.hpp"
#include "actors/certificate_watch.hpp"
#include "actors/choice.hpp"
#include "actors/disk_watch.hpp"
#include "actors/http.hpp"
#include "actors/ingestion_actor.hpp"
#include "actors/journal.hpp"
#include "actors/listener.hpp"
#include "actors/live_settings.hpp"
#include "actors/metadata_actor.hpp"
#include "actors/network_actor.hpp"
#include "actors/poller_actor.hpp"
#include "actors/quota_book.hpp"
#include "actors/traffic.hpp"
#include "actors/upkeep_actor.hpp"
#include "config/judge.hpp"
#include "config/print.hpp"
#include "runtime/lane_scheduler.hpp"
#include "runtime/log.hpp"
#include "runtime/machine.hpp"
#include "runtime/metrics.hpp"
#include "runtime/placement.hpp"
#include "storage/data_dir.hpp"
#include "storage/posix_disk.hpp"

namespace lance::actors {

using runtime::log_level;

namespace {

constexpr const char* version = "0.1.0";
/// Recovery of a large data directory may take its time; an operator sees its progress meanwhile.
constexpr auto start_limit = std::chrono::minutes{24 * 60};

std::int64_t seconds_now(const runtime::clock& clock) {
  return static_cast<std::int64_t>(clock.wall_ns() / s_in_ns);
}

/// A random (version 4) UUID.
std::string new_uuid() {
  std::random_device source;
  std::string text;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20)
      text += '-';
    const auto digit = i == 12 ? 4U : i == 16 ? 8U + source() % 4 : source() % 16;
    text += "0123456789abcdef"[digit];
  }
  return text;
}

storage::options storage_options(const config::config& values, const choice& chosen) {
  storage::options options;
  options.segment_bytes = values.io.segment_bytes;
  options.preallocate_bytes = values.io.preallocate;
  options.read_depth = static_cast<std::uint32_t>(values.io.read_depth);
  options.scrub_bytes_per_s = values.io.scrub_bytes_per_s;
  options.scrub_interval_ns = values.io.scrub_interval_s * s_in_ns;
  // The cache lives in the append pool and leaves half of it for what is being written.
  // The largest batch must always find room beside it.
  const auto total = chosen.plan.memory.append.total();
  const auto room = storage::max_payload_bytes + options.group_bytes;
  const auto most = std::min(total / 2, total > room ? total - room : 0);
  const auto wanted = values.io.tail_cache_bytes;
  options.tail_cache_bytes = wanted == 0 ? most : std::min<std::uint64_t>(wanted, most);
  return options;
}

storage::watermark_limits watermark_limits(const config::config& values,
                                           const storage::options& chosen) {
  storage::watermark_limits limits;
  limits.warn = values.disk.warn;
  limits.stop_writes = values.disk.stop_writes;
  limits.ballast_bytes = values.disk.ballast_bytes;
  limits.room_bytes = chosen.allocate_bytes + 4 * MiB; // a log's next step, and its index
  return limits;
}

struct shard_memory {
  explicit shard_memory(std::uint32_t connections) : poller(connections) {}
  ingestion_memory ingestion;
  poller_memory poller;
};

/// `shards`: the memory of each, whose files go through the rings of the I/O lanes.
std::vector<runtime::lane_options>
lane_options(const config::config& values, const choice& chosen,
             std::span<const std::unique_ptr<shard_memory>> shards) {
  std::vector<runtime::lane_options> lanes;
  for (std::size_t i = 0; i < chosen.plan.lanes.size(); ++i) {
    const auto& plan = chosen.plan.lanes[i];
    runtime::lane_options options;
    options.number = i;
    options.cpu = plan.cpu;
    options.numa_node = plan.node;
    options.idle = plan.idle;
    options.use_uring = chosen.use_uring;
    options.capabilities = chosen.capabilities;
    options.submission_depth = static_cast<unsigned>(values.io.uring_sq_depth);
    const bool network =
        std::find(chosen.plan.network_lanes.begin(), chosen.plan.network_lanes.end(), i) !=
        chosen.plan.network_lanes.end();
    options.receive_buffers = network ? chosen.plan.memory.receive.count : 8;
    options.receive_buffer_bytes = chosen.plan.memory.receive.bytes;
    lanes.push_back(options);
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    auto& pools = lanes[chosen.plan.shards[i].io_lane].file_pools;
    pools.push_back(shards[i]->ingestion.chunks.get());
    pools.push_back(shards[i]->poller.reads.get());
  }
  return lanes;
}

result<std::unique_ptr<shard_memory>> make_shard_memory(const choice& chosen,
                                                        std::uint32_t connections, int node) {
  auto made = std::make_unique<shard_memory>(connections);
  const auto pool = [&](std::unique_ptr<runtime::buffer_pool>& into, std::uint32_t count,
                        std::uint64_t bytes) -> result<> {
    auto fresh =
        runtime::buffer_pool::make({.count = count, .buffer_bytes = bytes, .numa_node = node});
    if (!fresh)
      return tl::unexpected{fresh.error()};
    into = std::move(*fresh);
    return {};
  };
  const auto& memory = chosen.plan.memory;
  if (auto one = pool(made->ingestion.chunks, memory.append.count, memory.append.bytes); !one)
    return tl::unexpected{one.error()};
  if (auto two = pool(made->poller.replies, memory.reply.count, memory.reply.bytes); !two)
    return tl::unexpected{two.error()};
  if (auto three = pool(made->poller.reads, 8, memory.reply.bytes); !three)
    return tl::unexpected{three.error()};
  return made;
}

} // namespace

/// Members in the order of their making; destroyed in the opposite one.
struct server::parts {
  bound_addresses addresses;
  health state;
  runtime::real_clock clock;
  runtime::metrics_registry metrics;
  choice chosen;
  storage::options storage;
  std::unique_ptr<storage::disk> door;
  std::unique_ptr<storage::data_dir> home;
  std::unique_ptr<disk_watch> watch; ///< until upkeep has it
  storage::disk_level first_level = storage::disk_level::ok;
  mutable std::mutex given_up_mutex;
  std::string given_up;
  std::vector<listening_socket> listeners;         ///< one per network actor
  std::unique_ptr<certificate_watch> certificates; ///< null: no encryption
  std::unique_ptr<access_watch> access;
  quota_book quotas;
  std::unique_ptr<live_settings> settings;    ///< outlives `http`
  runtime::metric_set* own_metrics = nullptr; ///< the main thread's
  traffic passed;
  std::unique_ptr<storage::recycle_budget> recycled; ///< of all shards
  std::unique_ptr<storage::reread_budget> reread;    ///< of all shards
  std::vector<std::unique_ptr<network_memory>> network_pools;
  std::vector<std::unique_ptr<shard_memory>> shard_pools;
  caf::actor_system_config caf_config;
  std::optional<caf::actor_system> system;
  std::vector<caf::actor> networks, ingestion, pollers;
  caf::actor metadata;
  caf::actor upkeep;
  std::unique_ptr<http_server> http;

  result<> open_disk(const config::config& values, std::string& explanation);
  result<> open_sockets(const config::config& values, std::string& explanation);
  result<> make_actors(const config::config& values, journal_contents contents,
                       std::string& explanation);
  result<> open_logs(std::string& explanation);
  result<> open_http(const config::loaded& loaded, std::string& explanation);
  void tell_routes(caf::scoped_actor& self);
  bool close_everything(std::uint64_t limit_ms);
  void look_at_files(bool forced) {
    if (certificates != nullptr)
      certificates->look(seconds_now(clock), forced, *own_metrics);
    access->look(forced, *own_metrics);
  }
  void watch_disk(const config::config& values);
  std::vector<const runtime::buffer_pool*> pools() const;
  void show_alone(node_id self) const;
  void show_load();
  void give_up(std::string why);
};

result<> server::parts::open_disk(const config::config& values, std::string& explanation) {
  storage::node_identity fresh;
  fresh.id = node_id{static_cast<std::uint16_t>(values.node.id)};
  fresh.node_uuid = new_uuid();
  auto opened = storage::data_dir::open(*door, values.node.data_dir, fresh, explanation);
  if (!opened)
    return tl::unexpected{opened.error()};
  home = std::move(*opened);
  return {};
}

// The first look comes before any log is opened: what opening needs may lie in the ballast.
void server::parts::watch_disk(const config::config& values) {
  watch = std::make_unique<disk_watch>(*door, values.node.data_dir,
                                       watermark_limits(values, storage), metrics.make_set());
  first_level = watch->look(clock.steady_ns()).level;
}

// Every pool of buffers but those the lanes receive into.
std::vector<const runtime::buffer_pool*> server::parts::pools() const {
  std::vector<const runtime::buffer_pool*> all;
  for (const auto& each : network_pools)
    all.insert(all.end(),
               {each->assembly.get(), each->send.get(), each->plain.get(), each->cipher.get()});
  for (const auto& each : shard_pools)
    all.insert(all.end(), {each->ingestion.chunks.get(), each->poller.replies.get(),
                           each->poller.reads.get()});
  std::erase(all, nullptr); // those for TLS
  return all;
}

// What GetClusterStatus says of a node alone, as figures.
void server::parts::show_alone(node_id self) const {
  using runtime::gauge;
  own_metrics->set(gauge::cluster_leader_id, self.value);
  for (const auto one : {gauge::cluster_node_count, gauge::cluster_healthy_nodes,
                         gauge::cluster_is_leader, gauge::cluster_quorum_available,
                         gauge::cluster_leader_ready, gauge::cluster_coordinator_ready})
    own_metrics->set(one, 1);
}

void server::parts::show_load() {
  using runtime::counter;
  using runtime::gauge;
  const auto rates =
      passed.look({metrics.total(counter::batches_written), metrics.total(counter::bytes_ingested),
                   metrics.total(counter::reads), metrics.total(counter::read_bytes)},
                  clock.steady_ns());
  own_metrics->set(gauge::ingest_ops_per_second, rates.ingest_ops);
  own_metrics->set(gauge::ingest_bytes_per_second, rates.ingest_bytes);
  own_metrics->set(gauge::read_ops_per_second, rates.read_ops);
  own_metrics->set(gauge::read_bytes_per_second, rates.read_bytes);
  double lent = 0;
  double all = 0;
  for (const auto* pool : pools()) {
    const auto bytes = static_cast<double>(pool->buffer_bytes());
    lent += bytes * pool->lent();
    all += bytes * pool->count();
  }
  own_metrics->set(gauge::memory_saturation, all > 0 ? lent / all : 0);
  own_metrics->set(gauge::reread_bytes, static_cast<double>(reread->used()));
}

// Any thread. The main thread waits for signals.
void server::parts::give_up(std::string why) {
  const std::lock_guard lock{given_up_mutex};
  given_up = std::move(why);
  ::kill(::getpid(), SIGTERM);
}

result<> server::parts::open_sockets(const config::config& values, std::string& explanation) {
  const auto count = chosen.plan.network_lanes.size();
  auto address = values.network.bind;
  for (std::size_t i = 0; i < count; ++i) {
    auto socket = listen_on(address, count > 1, explanation);
    if (!socket) {
      explanation = "network.bind: " + explanation;
      return tl::unexpected{socket.error()};
    }
    address = socket->address; // the further ones share the port the first one got
    listeners.push_back(std::move(*socket));
  }
  addresses.lwp = address;
  return {};
}

result<> server::parts::make_actors(const config::config& values, journal_contents contents,
                                    std::string& explanation) {
  const auto failed = [&](const error& why, const char* what) {
    explanation = std::string{what} + ": " + describe_error(why) +
                  "; lower io.buffer_bytes or give the process more memory";
    return tl::unexpected{why};
  };
  const auto& plan = chosen.plan;
  const auto connections = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, values.network.max_connections / plan.network_lanes.size()));
  for (const auto lane : plan.network_lanes) {
    // A torn frame of the largest size, beside others.
    const auto buffers =
        static_cast<std::uint32_t>(values.network.max_frame_bytes / (64 * KiB) + 64);
    const auto plain = certificates != nullptr ? chosen.plan.memory.receive.count : 0;
    auto memory = network_memory::make(buffers, connections, plain, plan.lanes[lane].node);
    if (!memory)
      return failed(memory.error(), "no memory for receive buffers");
    network_pools.push_back(std::move(*memory));
  }
  for (const auto& shard : plan.shards) {
    const auto all = connections * static_cast<std::uint32_t>(plan.network_lanes.size());
    auto memory = make_shard_memory(chosen, all, plan.lanes[shard.io_lane].node);
    if (!memory)
      return failed(memory.error(), "no memory for append buffers");
    shard_pools.push_back(std::move(*memory));
  }

  for (const auto* pool : pools())
    if (pool->misplaced())
      own_metrics->add(runtime::counter::numa_misaligned);

  caf_config.set("scheduler.max-threads", static_cast<std::size_t>(plan.workers));
  runtime::lane_scheduler::install(caf_config, lane_options(values, chosen, shard_pools));
  system.emplace(caf_config);
  system->await_actors_before_shutdown(false);
  auto& lanes = runtime::lane_scheduler::of(*system);
  if (!lanes.started())
    return failed(lanes.started().error(), "the lanes could not be started");
  for (std::size_t i = 0; i < lanes.size(); ++i)
    if (!lanes.at(i).has_ring())
      chosen.backend = "pwritev";
    else if (lanes.at(i).registration_refusal() != 0 && chosen.backend != "pwritev")
      chosen.backend = "io_uring (buffers not registered)";
  metrics.set_info(runtime::info::io_backend, chosen.backend);

  const auto node = home->identity().id;
  for (std::size_t i = 0; i < plan.network_lanes.size(); ++i) {
    network_options options;
    options.number = static_cast<std::uint16_t>(i);
    options.listener = listeners[i].descriptor;
    options.max_connections = connections;
    options.max_frame_bytes = static_cast<std::uint32_t>(values.network.max_frame_bytes);
    options.idle_timeout_ns = values.network.idle_timeout_ms * ms_in_ns;
    options.tcp_nodelay = values.network.tcp_nodelay;
    options.tls = certificates != nullptr ? &certificates->source() : nullptr;
    options.access = &access->source();
    options.quotas = &quotas;
    networks.push_back(lanes.spawn_on<network_actor>(
        plan.network_lanes[i], options, std::ref(*network_pools[i]), std::ref(metrics.make_set())));
  }
  recycled = std::make_unique<storage::recycle_budget>(values.io.recycle_bytes);
  reread = std::make_unique<storage::reread_budget>(values.io.reread_bytes);
  recycled->hold(first_level != storage::disk_level::ok);
  for (std::size_t i = 0; i < plan.shards.size(); ++i) {
    auto& memory = *shard_pools[i];
    const auto number = static_cast<std::uint16_t>(i);
    ingestion.push_back(lanes.spawn_on<ingestion_actor>(
        plan.shards[i].ingest_lane, ingestion_options{number, node, storage},
        std::ref(memory.ingestion), std::ref(metrics.make_set())));
    pollers.push_back(lanes.spawn_on<poller_actor>(
        plan.shards[i].io_lane,
        poller_options{.shard = number,
                       .storage = storage,
                       .recycled = recycled.get(),
                       .reread = reread.get(),
                       .linger_ns = values.io.linger_us * us_in_ns,
                       .direct = values.io.o_direct},
        std::ref(memory.poller), std::ref(*home), std::ref(metrics.make_set())));
  }
  metadata_options options;
  options.node = node;
  options.version = version;
  options.max_frame_bytes = values.network.max_frame_bytes;
  options.linger_ns = values.io.linger_us * us_in_ns;
  options.direct = values.io.o_direct;
  options.backend = chosen.backend;
  options.retention = {values.retention.max_age_s, values.retention.max_bytes};
  options.access = &access->source();
  options.journal_writable = [this](bool writable) { state.journal_writable = writable; };
  metadata = system->spawn<metadata_actor>(options, std::move(contents), std::ref(*home));
  upkeep_options duties;
  duties.retention_interval_ns = values.retention.interval_s * s_in_ns;
  duties.recycled = recycled.get();
  duties.give_up = [this](std::string why) { give_up(std::move(why)); };
  upkeep = system->spawn<upkeep_actor>(std::move(duties), std::move(watch));
  return {};
}

void server::parts::tell_routes(caf::scoped_actor& self) {
  for (std::size_t i = 0; i < pollers.size(); ++i) {
    const shard_routes routes{ingestion[i], pollers[i], networks, metadata, upkeep};
    const disk_changed disk{first_level};
    self->send(ingestion[i], routes);
    self->send(ingestion[i], disk);
    self->send(pollers[i], routes);
    self->send(pollers[i], disk);
  }
  self->send(metadata, disk_changed{first_level});
  self->send(upkeep, upkeep_routes{ingestion, pollers, metadata});
  self->send(metadata, metadata_routes{ingestion, pollers, networks, upkeep, self});
}

// Clients are let in as soon as every log has somebody who knows that it is being recovered: a log
// that is open serves, however long another one takes.
result<> server::parts::open_logs(std::string& explanation) {
  caf::scoped_actor self{*system};
  tell_routes(self);
  node_ready outcome;
  bool over = false;
  while (!over)
    self->receive(
        [&](const opening_begun&) {
          for (const auto& network : networks)
            self->send(network, network_routes{ingestion, pollers, metadata});
          runtime::log(log_level::info, "listening",
                       {{"lwp", addresses.lwp},
                        {"http", addresses.http},
                        {"metrics", addresses.metrics},
                        {"logs_to_recover", state.logs_to_recover.load()}});
        },
        [&](const opening_progress& heard) { state.logs_recovered = heard.logs; },
        [&](const node_ready& heard) {
          outcome = heard;
          over = true;
        },
        caf::after(start_limit) >>
            [&] {
              outcome.done = false;
              over = true;
            });
  if (!outcome.done) {
    explanation = "the logs could not be opened in time";
    return fail(errc::timed_out);
  }
  if (outcome.failed > 0)
    runtime::log(log_level::error, "logs_not_open",
                 {{"count", outcome.failed}, {"remedy", "see the log_open_failed lines above"}});
  return {};
}

result<> server::parts::open_http(const config::loaded& loaded, std::string& explanation) {
  const auto began = clock.steady_ns();
  http_providers providers;
  providers.metrics_text = [this] { return metrics.text(); };
  settings = std::make_unique<live_settings>(loaded, access->source(), quotas, clock,
                                             config::on_loopback(loaded.values.http.bind));
  providers.config_text = [this] { return settings->text(); };
  providers.admit = [this](std::string_view authorization, bool changes, std::string& who,
                           std::string& why) {
    return settings->admit(authorization, changes, who, why);
  };
  providers.change = [this](const auto& wanted, const std::string& who) {
    return settings->change(wanted, who);
  };
  providers.uptime_secs = [this, began] { return (clock.steady_ns() - began) / s_in_ns; };
  providers.version = version;
  providers.build = chosen.backend;
  auto opened = http_server::start({loaded.values.http.bind, loaded.values.metrics.bind}, state,
                                   std::move(providers), explanation);
  if (!opened)
    return tl::unexpected{opened.error()};
  http = std::move(*opened);
  addresses.http = http->health_address();
  addresses.metrics = http->metrics_address();
  return {};
}

server::server(std::unique_ptr<parts> made) : parts_(std::move(made)) {}

result<std::unique_ptr<server>> server::start(const config::loaded& loaded,
                                              std::string& explanation) {
  const auto& values = loaded.values;
  auto parts = std::make_unique<server::parts>();
  auto& the = *parts;
  the.chosen = choose(values);
  if (values.io.backend == config::io_backend::uring && !the.chosen.capabilities.available) {
    explanation = std::string{"io.backend = \"uring\", but this process may not use io_uring: "} +
                  std::strerror(the.chosen.capabilities.refusal) +
                  "; allow the three io_uring calls or set io.backend = \"auto\"";
    return fail(errc::bad_config);
  }
  the.storage = storage_options(values, the.chosen);
  if (const auto wrong = storage::validate(the.storage); !wrong.empty()) {
    explanation = std::string{wrong};
    return fail(errc::bad_config);
  }
  for (const auto& notice : config::absent_hardware(values, the.chosen.machine))
    runtime::log(log_level::warning, "absent_hardware", {{"notice", notice}});
  auto certificates = certificate_watch::make(values.tls, seconds_now(the.clock), explanation);
  if (!certificates)
    return tl::unexpected{certificates.error()};
  the.certificates = std::move(*certificates);
  the.own_metrics = &the.metrics.make_set();
  the.door = storage::make_posix_disk({});
  auto access = access_watch::make(*the.door, values.auth, values.tls, explanation);
  if (!access)
    return tl::unexpected{access.error()};
  the.access = std::move(*access);
  the.quotas.set(quota_limits_of(values.quota), the.clock.steady_ns());
  the.state.coordinator_ready = true; // alone, there is nobody to coordinate with
  the.metrics.set_info(runtime::info::build_version, version);
  // HTTP first: the startup probe shows recovery while it runs.
  if (auto done = the.open_disk(values, explanation); !done)
    return tl::unexpected{done.error()};
  the.watch_disk(values);
  if (auto done = the.open_http(loaded, explanation); !done)
    return tl::unexpected{done.error()};
  if (auto done = the.open_sockets(values, explanation); !done)
    return tl::unexpected{done.error()};
  cluster::topic_policy defaults;
  defaults.level = values.durability.level;
  defaults.mode = values.replication.mode;
  auto contents = read_journal(*the.door, *the.home, the.clock, the.storage, defaults, explanation);
  if (!contents)
    return tl::unexpected{contents.error()};
  std::vector<std::string> known{meta_name, contents->topics.default_topic().name};
  for (const auto& [id, row] : contents->topics.topics())
    known.push_back(row.name);
  const auto moved = the.home->set_aside_unknown(known);
  if (!moved) {
    explanation = "what lies under segments/ for no topic cannot be moved into the quarantine: " +
                  describe_error(moved.error());
    return tl::unexpected{moved.error()};
  }
  for (const auto& path : *moved)
    runtime::log(log_level::warning, "unknown_topic_set_aside",
                 {{"directory", path},
                  {"remedy", "a crash cut its deletion short, or its topic was lost: look into it "
                             "with lnc segment dump, delete it when it is not missed"}});
  the.state.logs_to_recover = contents->topics.topics().size() + 2;
  if (auto done = the.make_actors(values, std::move(*contents), explanation); !done)
    return tl::unexpected{done.error()};
  if (auto done = the.open_logs(explanation); !done)
    return tl::unexpected{done.error()};
  the.look_at_files(false);
  the.show_alone(the.home->identity().id);
  the.show_load();
  the.state.startup_complete = true;
  the.state.data_plane_ready = true;
  std::string cpus;
  for (const auto& lane : the.chosen.plan.lanes)
    cpus += (cpus.empty() ? "" : ",") + std::to_string(lane.cpu);
  runtime::log(log_level::info, "serving",
               {{"lwp", the.addresses.lwp},
                {"http", the.addresses.http},
                {"metrics", the.addresses.metrics},
                {"data_dir", values.node.data_dir},
                {"node", values.node.id},
                {"backend", the.chosen.backend},
                {"lanes", the.chosen.plan.lanes.size()},
                {"cpus", cpus},
                {"shards", the.chosen.plan.shards.size()},
                {"fused", the.chosen.plan.fused},
                {"tls", the.certificates != nullptr},
                {"auth", values.auth.enabled},
                {"buffers_mib", the.chosen.plan.memory.total / MiB}});
  return std::unique_ptr<server>{new server(std::move(parts))};
}

std::string check_files(const config::config& values) {
  std::string why;
  if (!certificate_watch::make(values.tls, seconds_now(runtime::real_clock{}), why))
    return why;
  const auto door = storage::make_posix_disk({});
  (void)access_watch::make(*door, values.auth, values.tls, why);
  return why;
}

void server::refresh(bool forced) {
  parts_->look_at_files(forced);
  parts_->show_load();
}

server::~server() {
  auto& the = *parts_;
  the.http.reset();
  // Its timer holds it, and it holds the others.
  caf::anon_send_exit(the.upkeep, caf::exit_reason::user_shutdown);
  caf::scoped_actor {
    *the.system
    } -> wait_for(the.upkeep);
  the.networks.clear();
  the.ingestion.clear();
  the.pollers.clear();
  the.metadata = nullptr;
  the.upkeep = nullptr;
  the.system.reset();
}

const bound_addresses& server::addresses() const noexcept {
  return parts_->addresses;
}

std::string server::gave_up() const {
  const std::lock_guard lock{parts_->given_up_mutex};
  return parts_->given_up;
}

bool server::parts::close_everything(std::uint64_t limit_ms) {
  using namespace std::chrono;
  const auto deadline = steady_clock::now() + milliseconds{limit_ms};
  const auto left = [&] {
    return std::max(milliseconds{1}, duration_cast<milliseconds>(deadline - steady_clock::now()));
  };
  caf::scoped_actor self{*system};
  std::size_t to_drain = networks.size();
  std::size_t to_close = pollers.size();
  // A lane that drains too late says so while the logs close.
  const auto note_drained = [&](const drained&) { --to_drain; };
  const auto note_closed = [&](const logs_closed&) { --to_close; };
  for (const auto& poller : pollers)
    self->send(poller, stop_waiting{});
  for (const auto& network : networks)
    self->send(network, stop_serving{self});
  bool in_time = true;
  while (to_drain > 0 && in_time)
    self->receive(
        note_drained, caf::after(left()) >> [&] { in_time = false; });
  for (const auto& poller : pollers)
    self->send(poller, close_logs{self});
  bool closed = true;
  while (to_close > 0 && closed)
    self->receive(
        note_closed, note_drained,
        caf::after(std::max(left(), milliseconds{1000})) >> [&] { closed = false; });
  return in_time && closed;
}

bool server::drain(std::uint64_t limit_ms) {
  parts_->state.draining = true;
  return parts_->close_everything(limit_ms);
}

void server::flush(std::uint64_t limit_ms) {
  (void)parts_->close_everything(limit_ms);
}

} // namespace lance::actors
