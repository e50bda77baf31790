#include "config/judge.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "config/keys.hpp"
#include "config/values.hpp"
#include "runtime/check.hpp"
#include "runtime/placement.hpp"
#include "storage/options.hpp"

namespace lance::config {

namespace {

constexpr std::uint64_t idle_timeout_ms_min = 300'000; // clients send nothing by themselves

class judgement {
 public:
  explicit judgement(loaded& about) : about_(about), values_(about.values) {}

  void run() {
    sizes();
    disk();
    lanes();
    listeners();
    timeouts();
    replication();
    for (const auto& key : keys())
      unbuilt(key);
  }

 private:
  [[nodiscard]] const origin& origin_of(std::string_view path) const {
    const auto index = find_key(path);
    LANCE_CHECK(index.has_value());
    return about_.origins[*index];
  }
  void wrong(std::string_view path, const std::string& sentence) {
    about_.errors.push_back(origin_of(path).place() + ": " + std::string{path} + ' ' + sentence);
  }
  void note(std::string_view path, const std::string& sentence) {
    about_.notices.push_back(origin_of(path).place() + ": " + std::string{path} + ' ' + sentence);
  }

  void sizes() {
    const auto& io = values_.io;
    if (io.batch_size % storage::block_bytes != 0)
      wrong("io.batch_size", "must be a multiple of 4KiB, which O_DIRECT writes in");
    if (io.segment_bytes % storage::block_bytes != 0)
      wrong("io.segment_bytes", "must be a multiple of 4KiB, which O_DIRECT writes in");
    if (io.preallocate > io.segment_bytes)
      wrong("io.preallocate", "must not be larger than io.segment_bytes: there is nothing beyond");
    if (io.buffer_bytes != 0 && io.buffer_bytes < runtime::shard_memory_min)
      wrong("io.buffer_bytes", "must be 0 (chosen here) or at least 48MiB: one shard with the "
                               "largest frame needs that");
    if (io.buffer_bytes != 0 && io.tail_cache_bytes > io.buffer_bytes / 4)
      wrong("io.tail_cache_bytes", "must be at most a quarter of io.buffer_bytes, in which the "
                                   "cache lies: lower the one or raise the other");
  }

  void disk() {
    if (!(values_.disk.warn < values_.disk.stop_writes))
      wrong("disk.warn", "must be below disk.stop_writes, or the warning comes too late: lower it");
  }

  void lanes() {
    const auto& lanes = values_.lanes;
    if (lanes.network + lanes.ingest + lanes.io > runtime::lanes_max)
      wrong("lanes.network", "and lanes.ingest and lanes.io are more than 96 lanes together");
    const std::set<std::int64_t> distinct{lanes.cpus.begin(), lanes.cpus.end()};
    if (distinct.size() != lanes.cpus.size())
      wrong("lanes.cpus", "names a CPU twice: each carries one lane");
  }

  void listeners() {
    const std::array<std::pair<std::string_view, const std::string*>, 4> all{
        {{"network.bind", &values_.network.bind},
         {"network.peer_bind", &values_.network.peer_bind},
         {"http.bind", &values_.http.bind},
         {"metrics.bind", &values_.metrics.bind}}};
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (!all[i].second->empty() && *all[i].second == *all[j].second &&
            !all[i].second->ends_with(":0"))
          wrong(all[i].first,
                "is the same address as " + std::string{all[j].first} + ": give it another port");
    for (const auto& [path, address] : all) {
      const bool encrypted = path == "network.bind" && !values_.tls.cert.empty();
      // The peers' port is not opened alone.
      const bool off = address->empty() || path == "network.peer_bind" || encrypted;
      if (!off && !on_loopback(*address))
        note(path, "= \"" + *address +
                       "\" is open to the network without encryption or "
                       "authentication");
    }
  }

  void timeouts() {
    const auto idle = values_.network.idle_timeout_ms;
    if (idle != 0 && idle < idle_timeout_ms_min)
      wrong("network.idle_timeout_ms", "must be 0 (never) or at least 300000: clients stay silent "
                                       "for minutes");
    if (values_.cluster.heartbeat_ms * 2 >= values_.cluster.election_ms)
      wrong("cluster.heartbeat_ms", "must be less than half of cluster.election_ms, or one lost "
                                    "heartbeat elects");
    if (values_.groups.heartbeat_ms * 2 >= values_.groups.session_timeout_ms)
      wrong("groups.heartbeat_ms", "must be less than half of groups.session_timeout_ms, or one "
                                   "lost heartbeat costs a member its partitions");
  }

  void replication() {
    const bool peers = !values_.replication.peers.empty();
    const bool mode_said = origin_of("replication.mode").from != source::preset;
    if (values_.replication.mode == ack_mode::l2)
      wrong("replication.mode", "= \"L2\" needs peers and replication, which this build does not "
                                "have: use \"L1\"");
    else if (peers && !mode_said)
      wrong("replication.peers", "makes \"L2\" the default mode, which this build does not have: "
                                 "set replication.mode = \"L1\" to run alone");
  }

  void unbuilt(const key& key) {
    if (key.today == state::built || same(key, values_, config{}))
      return;
    const auto path = key.path();
    const auto feature = std::string{key.feature};
    if (key.today == state::refused)
      wrong(path, "needs " + feature + ", which this build does not have: leave it at " +
                      to_toml(key, config{}));
    else
      note(path, "has no effect: " + feature + " is not built yet" +
                     (path == "replication.peers" ? ": this node runs alone" : ""));
  }

  loaded& about_;
  const config& values_;
};

} // namespace

bool on_loopback(std::string_view address) noexcept {
  return address.starts_with("127.") || address.starts_with("localhost:") ||
         address.starts_with("[::1]:");
}

void judge(loaded& loaded) {
  judgement{loaded}.run();
}

std::vector<std::string> absent_hardware(const config& values, const runtime::machine& machine) {
  std::vector<std::string> notices;
  const auto absent = [&](std::string_view key, const std::string& value) {
    notices.push_back(std::string{key} + " = " + value +
                      " names hardware this machine does not have: ignored");
  };
  if (!values.network.nic_pci_addr.empty() && !machine.nic_found)
    absent("network.nic_pci_addr", '"' + values.network.nic_pci_addr + '"');
  if (values.numa.nic_node >= machine.node_count)
    absent("numa.nic_node", std::to_string(values.numa.nic_node));
  if (values.numa.nvme_node >= machine.node_count)
    absent("numa.nvme_node", std::to_string(values.numa.nvme_node));
  for (const auto id : values.lanes.cpus)
    if (std::none_of(machine.cpus.begin(), machine.cpus.end(),
                     [&](const auto& cpu) { return cpu.id == id && cpu.allowed; }))
      notices.push_back("lanes.cpus names CPU " + std::to_string(id) +
                        ", which this process may not use: ignored");
  return notices;
}

} // namespace lance::config
