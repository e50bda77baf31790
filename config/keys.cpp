#include "config/keys.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/placement.hpp"
#include "storage/options.hpp"

namespace lance::config {

namespace {

template <class Enum>
field choice(Enum& value) {
  static_assert(sizeof(Enum) == 1);
  return choice_field{reinterpret_cast<std::uint8_t*>(&value)};
}

// A key that tunes, or one that promises, what this build does not have.
constexpr key idle(key k, std::string_view feature) {
  k.today = state::idle;
  k.feature = feature;
  return k;
}
constexpr key refused(key k, std::string_view feature) {
  k.today = state::refused;
  k.feature = feature;
  return k;
}
constexpr key with_flag(key k, std::string_view flag) {
  k.flag = flag;
  return k;
}
constexpr key or_empty(key k) {
  k.may_be_empty = true;
  return k;
}

constexpr std::int64_t unbounded = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t lanes_max = runtime::shards_max; // of each stage
constexpr std::int64_t day_ms = 24 * 3600 * 1000;
constexpr std::int64_t mib = static_cast<std::int64_t>(MiB);
constexpr std::int64_t kib = static_cast<std::int64_t>(KiB);

constexpr std::array section_table{
    section{"node", "Who this node is and where it keeps its data."},
    section{"network", "Where producers and consumers connect."},
    section{"http", "Health, readiness and administration."},
    section{"metrics", "Figures for Prometheus."},
    section{"io", "How bytes reach the disk and come back."},
    section{"numa", "Memory nodes of the machine."},
    section{"lanes", "The pinned threads that carry records."},
    section{"replication", "When an acknowledgement leaves, and who else keeps the data."},
    section{"durability", "What durable means on this node."},
    section{"retention", "When old segments are deleted."},
    section{"disk", "What happens when the disk fills up."},
    section{"tls", "Encrypted connections."},
    section{"auth", "Who may do what."},
    section{"cluster", "Nodes among themselves."},
    section{"groups", "Consumer groups."},
    section{"quota", "Limits on what a client may take."},
    section{"log", "What this process says about itself, on standard error."},
    section{"tee", "Copies of topics to other services."},
};

// One key is one paragraph.
constexpr key key_table[] = {
    with_flag({"node", "id", kind::integer, [](config& c) -> field { return &c.node.id; },
               "Number of this node, unique in its cluster; part of every sort key.", 0, 65535},
              "-n,--node-id"),
    with_flag({"node", "data_dir", kind::text, [](config& c) -> field { return &c.node.data_dir; },
               "Directory of everything this node keeps; one process at a time.", 1},
              "-d,--data-dir"),
    with_flag({"node", "ready_file", kind::text,
               [](config& c) -> field { return &c.node.ready_file; },
               "File that is written, with the bound addresses as JSON, once the node serves; "
               "empty: none."},
              "--ready-file"),
    {"node", "drain_timeout_ms", kind::duration,
     [](config& c) -> field { return &c.node.drain_timeout_ms; },
     "How long a shutdown may finish and acknowledge what was received.", 100, day_ms},

    with_flag({"network", "bind", kind::address, [](config& c) -> field { return &c.network.bind; },
               "Address for clients; port 0 lets the kernel choose."},
              "-l,--listen"),
    with_flag(idle({"network", "peer_bind", kind::address,
                    [](config& c) -> field { return &c.network.peer_bind; },
                    "Address for the other nodes of a cluster; opened only in a cluster."},
                   "replication"),
              "--peer-listen"),
    idle(or_empty(
             {"network", "advertised", kind::address,
              [](config& c) -> field { return &c.network.advertised; },
              "Address that other nodes tell clients to use for this one; empty: the bound one."}),
         "replication"),
    {"network", "nic_pci_addr", kind::text,
     [](config& c) -> field { return &c.network.nic_pci_addr; },
     "PCI address of the network card, to place network lanes near it; empty: not looked at."},
    {"network", "max_connections", kind::integer,
     [](config& c) -> field { return &c.network.max_connections; },
     "Client connections at one time; more are closed at once.", 1, 1'000'000},
    {"network", "max_frame_bytes", kind::size,
     [](config& c) -> field { return &c.network.max_frame_bytes; },
     "Largest payload of one frame; a larger one closes its connection.", 4 * kib,
     static_cast<std::int64_t>(storage::max_payload_bytes)},
    {"network", "idle_timeout_ms", kind::duration,
     [](config& c) -> field { return &c.network.idle_timeout_ms; },
     "Silent connections are closed after this long, at least five minutes; 0: never.", 0,
     30 * day_ms},
    {"network", "tcp_nodelay", kind::boolean,
     [](config& c) -> field { return &c.network.tcp_nodelay; },
     "Send replies at once instead of gathering small packets."},

    with_flag(
        or_empty({"http", "bind", kind::address, [](config& c) -> field { return &c.http.bind; },
                  "Address for health, readiness and administration; empty: none."}),
        "--http"),
    with_flag(or_empty({"metrics", "bind", kind::address,
                        [](config& c) -> field { return &c.metrics.bind; },
                        "Address for Prometheus; empty: none."}),
              "--metrics"),

    {"io", "backend", kind::choice, [](config& c) -> field { return choice(c.io.backend); },
     "How the kernel is asked: auto takes io_uring where it works, else plain system calls.", 0,
     unbounded, "auto|uring|pwritev"},
    {"io", "uring_sq_depth", kind::integer, [](config& c) -> field { return &c.io.uring_sq_depth; },
     "Entries of each lane's submission queue.", 64, 32768},
    {"io", "batch_size", kind::size, [](config& c) -> field { return &c.io.batch_size; },
     "Bytes of one append buffer, which is one write to the device; a multiple of 4KiB.", 64 * kib,
     4 * mib},
    {"io", "o_direct", kind::boolean, [](config& c) -> field { return &c.io.o_direct; },
     "Write past the page cache where the file system allows it."},
    {"io", "segment_bytes", kind::size, [](config& c) -> field { return &c.io.segment_bytes; },
     "Size at which a log goes on in a new segment file; a multiple of 4KiB.",
     static_cast<std::int64_t>(storage::min_segment_bytes),
     static_cast<std::int64_t>(storage::max_segment_bytes)},
    {"io", "preallocate", kind::size, [](config& c) -> field { return &c.io.preallocate; },
     "Bytes written with zeros ahead of the end while the disk is idle, for faster flushes; 0: "
     "none.",
     0, static_cast<std::int64_t>(storage::max_segment_bytes)},
    {"io", "recycle_bytes", kind::size, [](config& c) -> field { return &c.io.recycle_bytes; },
     "Disk space of dropped segments kept to become new ones, for faster flushes; 0: none.", 0,
     1024 * 1024 * mib},
    {"io", "reread_bytes", kind::size, [](config& c) -> field { return &c.io.reread_bytes; },
     "Closed segments read again and again that go through the page cache, in all; 0: none.", 0,
     1024 * 1024 * mib},
    {"io", "linger_us", kind::duration, [](config& c) -> field { return &c.io.linger_us; },
     "Longest time the first batch of a commit group waits for company; 0: only for a busy disk.",
     0, 1'000'000},
    {"io", "tail_cache_bytes", kind::size,
     [](config& c) -> field { return &c.io.tail_cache_bytes; },
     "Newest bytes of a shard's logs kept in memory for readers who follow; 0: half of its append "
     "buffers.",
     0, 64 * 1024 * mib},
    {"io", "read_depth", kind::integer, [](config& c) -> field { return &c.io.read_depth; },
     "Most reads from disk at one time in each shard; fewer while they make producers wait.", 1,
     1024},
    {"io", "buffer_bytes", kind::size, [](config& c) -> field { return &c.io.buffer_bytes; },
     "Memory for all buffers; 0: up to 192MiB per shard within a quarter of what the process may "
     "use.",
     0, 1024 * 1024 * mib},
    {"io", "scrub_bytes_per_s", kind::size,
     [](config& c) -> field { return &c.io.scrub_bytes_per_s; },
     "Bytes of closed segments that each shard reads in a second to find bit rot; 0: none.", 0,
     1024 * 1024 * mib},
    {"io", "scrub_interval_s", kind::duration,
     [](config& c) -> field { return &c.io.scrub_interval_s; },
     "Every closed segment is read at least this often, if need be faster than that; 0: never.", 0,
     10 * 365 * 24 * 3600},

    {"numa", "enabled", kind::boolean, [](config& c) -> field { return &c.numa.enabled; },
     "Keep lanes and their memory on one node, near card and disk."},
    {"numa", "nic_node", kind::integer, [](config& c) -> field { return &c.numa.nic_node; },
     "Memory node of the network card; -1: ask the kernel.", -1, 1023},
    {"numa", "nvme_node", kind::integer, [](config& c) -> field { return &c.numa.nvme_node; },
     "Memory node of the disk; -1: ask the kernel.", -1, 1023},

    {"lanes", "network", kind::integer, [](config& c) -> field { return &c.lanes.network; },
     "Lanes that talk to clients; 0: chosen from the CPUs.", 0, 32},
    {"lanes", "ingest", kind::integer, [](config& c) -> field { return &c.lanes.ingest; },
     "Lanes that stamp and batch, which is the number of shards; 0: chosen from the CPUs.", 0, 32},
    {"lanes", "io", kind::integer, [](config& c) -> field { return &c.lanes.io; },
     "Lanes that write and read segments; 0: chosen from the CPUs.", 0, 32},
    {"lanes", "cpus", kind::integer_list, [](config& c) -> field { return &c.lanes.cpus; },
     "CPUs that lanes are pinned to; empty: chosen from those this process may use.", 0, 4095},
    {"lanes", "idle", kind::choice, [](config& c) -> field { return choice(c.lanes.idle); },
     "What a lane without work does: auto spins only where a core is free.", 0, unbounded,
     "auto|spin|park"},

    with_flag({"replication", "mode", kind::choice,
               [](config& c) -> field { return choice(c.replication.mode); },
               "Acknowledge when durable here (L1) or on a majority of the nodes (L2).", 0,
               unbounded, "L1|L2"},
              "--mode"),
    with_flag(idle({"replication", "peers", kind::address_list,
                    [](config& c) -> field { return &c.replication.peers; },
                    "The nodes of the cluster, as host:port or <id>@host:port; this one may be "
                    "among them."},
                   "replication"),
              "--peers"),

    {"durability", "level", kind::choice,
     [](config& c) -> field { return choice(c.durability.level); },
     "An acknowledged batch is flushed (fsync), handed to the disk (written) or in memory "
     "(memory).",
     0, unbounded, "fsync|written|memory"},

    {"retention", "interval_s", kind::duration,
     [](config& c) -> field { return &c.retention.interval_s; },
     "How often old segments are looked for; besides when a segment is full, and when the disk "
     "fills up.",
     1, 24 * 3600},
    {"retention", "max_age_s", kind::duration,
     [](config& c) -> field { return &c.retention.max_age_s; },
     "Age at which segments of topics without a policy of their own go; 0: never."},
    {"retention", "max_bytes", kind::size,
     [](config& c) -> field { return &c.retention.max_bytes; },
     "Size to which topics without a policy of their own are cut; 0: unlimited."},

    {"disk", "warn", kind::ratio, [](config& c) -> field { return &c.disk.warn; },
     "Used share of the disk from which on it is logged, and retention runs more often."},
    {"disk", "stop_writes", kind::ratio, [](config& c) -> field { return &c.disk.stop_writes; },
     "Used share of the disk from which on producers are refused; reading and deleting go on."},
    {"disk", "ballast_bytes", kind::size, [](config& c) -> field { return &c.disk.ballast_bytes; },
     "Reserve file that is released when the disk is full after all; 0: none.", 0, 64 * 1024 * mib},

    {"tls", "cert", kind::text, [](config& c) -> field { return &c.tls.cert; },
     "Certificate chain for clients, PEM, own certificate first; empty: no encryption."},
    {"tls", "key", kind::text, [](config& c) -> field { return &c.tls.key; },
     "Private key of the certificate, PEM. Changed files are taken over without a restart."},
    {"tls", "ca", kind::text, [](config& c) -> field { return &c.tls.ca; },
     "Authorities that client certificates are checked against, PEM; empty: none is asked for."},
    {"tls", "require_client_cert", kind::boolean,
     [](config& c) -> field { return &c.tls.require_client_cert; },
     "Turn clients without a certificate away."},
    {"tls", "min_version", kind::choice,
     [](config& c) -> field { return choice(c.tls.min_version); },
     "Oldest version of TLS that is spoken.", 0, unbounded, "1.2|1.3"},
    {"tls", "ciphers", kind::text, [](config& c) -> field { return &c.tls.ciphers; },
     "Cipher suites of TLS 1.2 in OpenSSL's words; empty: forward secrecy and AEAD only."},
    {"tls", "ciphersuites", kind::text, [](config& c) -> field { return &c.tls.ciphersuites; },
     "Cipher suites of TLS 1.3 in OpenSSL's words; empty: the library's."},

    {"auth", "enabled", kind::boolean, [](config& c) -> field { return &c.auth.enabled; },
     "Only clients that show who they are, by token or certificate, may do anything."},
    {"auth", "token_file", kind::text, [](config& c) -> field { return &c.auth.token_file; },
     "File of token hashes, kept with lnc token. Changes are taken over without a restart."},
    {"auth", "acl", kind::text, [](config& c) -> field { return &c.auth.acl; },
     "File of access rules per topic, kept with lnc acl; empty: whoever is known may do all."},
    {"auth", "write_only", kind::boolean, [](config& c) -> field { return &c.auth.write_only; },
     "Ask who somebody is only where something is written or changed."},

    idle({"cluster", "id", kind::text, [](config& c) -> field { return &c.cluster.id; },
          "Name of the cluster; nodes of another one are turned away."},
         "replication"),
    idle({"cluster", "tls", kind::boolean, [](config& c) -> field { return &c.cluster.tls; },
          "Nodes speak mutual TLS with each other."},
         "replication"),
    idle({"cluster", "insecure", kind::boolean,
          [](config& c) -> field { return &c.cluster.insecure; },
          "Allow nodes to speak without TLS when cluster.tls is false."},
         "replication"),
    idle({"cluster", "election_ms", kind::duration,
          [](config& c) -> field { return &c.cluster.election_ms; },
          "Silence of the leader after which another is elected.", 50, 60'000},
         "replication"),
    idle({"cluster", "heartbeat_ms", kind::duration,
          [](config& c) -> field { return &c.cluster.heartbeat_ms; },
          "How often a leader shows that it lives.", 5, 10'000},
         "replication"),
    idle({"cluster", "evict_ms", kind::duration,
          [](config& c) -> field { return &c.cluster.evict_ms; },
          "Durable acknowledgement slower than this is a miss.", 1, 60'000},
         "replication"),
    idle({"cluster", "evict_after", kind::integer,
          [](config& c) -> field { return &c.cluster.evict_after; },
          "Misses in a row after which a follower leaves the fast path.", 1, 1000},
         "replication"),
    idle({"cluster", "rejoin_after", kind::integer,
          [](config& c) -> field { return &c.cluster.rejoin_after; },
          "Good batches in a row after which it is back.", 1, 1000},
         "replication"),
    idle({"cluster", "quorum_timeout_ms", kind::duration,
          [](config& c) -> field { return &c.cluster.quorum_timeout_ms; },
          "How long a batch waits for a majority before its producer is told.", 100, 60'000},
         "replication"),

    idle({"groups", "session_timeout_ms", kind::duration,
          [](config& c) -> field { return &c.groups.session_timeout_ms; },
          "Silence after which a member loses its partitions.", 1000, day_ms},
         "consumer groups"),
    idle({"groups", "heartbeat_ms", kind::duration,
          [](config& c) -> field { return &c.groups.heartbeat_ms; },
          "How often members are asked to show that they live.", 100, day_ms},
         "consumer groups"),
    idle({"groups", "partitions", kind::integer,
          [](config& c) -> field { return &c.groups.partitions; },
          "Logs that keep the groups' state; fixed at the first start.", 1, 256},
         "consumer groups"),

    {"quota", "ingest_bytes_per_s", kind::size,
     [](config& c) -> field { return &c.quota.ingest_bytes_per_s; },
     "What one identity may send, without authentication one connection; 0: unlimited."},
    {"quota", "fetch_bytes_per_s", kind::size,
     [](config& c) -> field { return &c.quota.fetch_bytes_per_s; },
     "What one identity may fetch, without authentication one connection; 0: unlimited."},
    {"quota", "topic_ingest_bytes_per_s", kind::size,
     [](config& c) -> field { return &c.quota.topic_ingest_bytes_per_s; },
     "What all producers of a topic together may send to it; 0: unlimited."},
    {"quota", "topic_fetch_bytes_per_s", kind::size,
     [](config& c) -> field { return &c.quota.topic_fetch_bytes_per_s; },
     "What all readers of a topic together may fetch from it; 0: unlimited."},
    {"quota", "connections", kind::integer, [](config& c) -> field { return &c.quota.connections; },
     "Connections of one identity at a time; 0: unlimited.", 0, 1'000'000},

    {"log", "level", kind::choice, [](config& c) -> field { return choice(c.log.level); },
     "The least important events that are written.", 0, unbounded, "debug|info|warning|error|off"},
    {"log", "format", kind::choice, [](config& c) -> field { return choice(c.log.format); },
     "One line per event, as key=value or as JSON.", 0, unbounded, "text|json"},

    refused({"tee", "enabled", kind::boolean, [](config& c) -> field { return &c.tee.enabled; },
             "Run the copies that topics ask for."},
            "the tee"),
};

} // namespace

std::span<const key> keys() noexcept {
  return key_table;
}
std::span<const section> sections() noexcept {
  return section_table;
}

std::optional<std::size_t> find_key(std::string_view path) noexcept {
  const auto dot = path.find('.');
  if (dot == std::string_view::npos)
    return std::nullopt;
  for (std::size_t i = 0; i < std::size(key_table); ++i)
    if (key_table[i].section == path.substr(0, dot) && key_table[i].name == path.substr(dot + 1))
      return i;
  return std::nullopt;
}

std::string key::path() const {
  return std::string{section} + '.' + std::string{name};
}

std::string key::environment() const {
  auto text = "LANCE_" + std::string{section} + '_' + std::string{name};
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string key::flag_name() const {
  const auto dashes = flag.find("--");
  return dashes == std::string_view::npos ? std::string{} : std::string{flag.substr(dashes)};
}

} // namespace lance::config
