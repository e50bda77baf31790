// What the operator may choose: plain structs with their defaults. What each key means stands, in
// one sentence for people, in the table of keys.cpp, which also prints config/lance.toml.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/types.hpp"

namespace lance::config {

// The values of these, and of ack_mode and durability (types.hpp), stand in the order of their
// words in keys.cpp.
enum class io_backend : std::uint8_t { automatic, uring, pwritev };
enum class lane_idle : std::uint8_t { automatic, spin, park };
enum class log_level : std::uint8_t { debug, info, warning, error, off };
enum class log_format : std::uint8_t { text, json };
enum class tls_version : std::uint8_t { tls_1_2, tls_1_3 };

struct node_section {
  std::uint64_t id = 0;
  std::string data_dir = "./data";
  std::string ready_file;
  std::uint64_t drain_timeout_ms = 25'000;
};

struct network_section {
  std::string bind = "127.0.0.1:1992";
  std::string peer_bind = "127.0.0.1:1993";
  std::string advertised;
  std::string nic_pci_addr;
  std::uint64_t max_connections = 1024;
  std::uint64_t max_frame_bytes = 16 * MiB;
  std::uint64_t idle_timeout_ms = 0;
  bool tcp_nodelay = true;
};

struct http_section {
  std::string bind = "127.0.0.1:8080";
};

struct metrics_section {
  std::string bind = "127.0.0.1:9090";
};

struct io_section {
  io_backend backend = io_backend::automatic;
  std::uint64_t uring_sq_depth = 4096;
  std::uint64_t batch_size = 256 * KiB;
  bool o_direct = true;
  std::uint64_t segment_bytes = 128 * MiB;
  std::uint64_t preallocate = 4 * MiB;
  std::uint64_t recycle_bytes = 1 * GiB;
  std::uint64_t reread_bytes = 1 * GiB;
  std::uint64_t linger_us = 0;
  std::uint64_t tail_cache_bytes = 0;
  std::uint64_t read_depth = 8;
  std::uint64_t buffer_bytes = 0;
  std::uint64_t scrub_bytes_per_s = 8 * MiB;
  std::uint64_t scrub_interval_s = 7 * 24 * 3600;
};

struct numa_section {
  bool enabled = true;
  std::int64_t nic_node = -1;
  std::int64_t nvme_node = -1;
};

struct lanes_section {
  std::uint64_t network = 0;
  std::uint64_t ingest = 0;
  std::uint64_t io = 0;
  std::vector<std::int64_t> cpus;
  lane_idle idle = lane_idle::automatic;
};

struct replication_section {
  ack_mode mode = ack_mode::l1;
  std::vector<std::string> peers;
};

struct durability_section {
  lance::durability level = lance::durability::fsync;
};

struct retention_section {
  std::uint64_t interval_s = 60;
  std::uint64_t max_age_s = 0;
  std::uint64_t max_bytes = 0;
};

struct disk_section {
  double warn = 0.85;
  double stop_writes = 0.95;
  std::uint64_t ballast_bytes = 64 * MiB;
};

struct tls_section {
  std::string cert;
  std::string key;
  std::string ca;
  bool require_client_cert = false;
  tls_version min_version = tls_version::tls_1_2;
  std::string ciphers;
  std::string ciphersuites;
};

struct auth_section {
  bool enabled = false;
  std::string token_file;
  std::string acl;
  bool write_only = false;
};

struct cluster_section {
  std::string id;
  bool tls = true;
  bool insecure = false;
  std::uint64_t election_ms = 1000;
  std::uint64_t heartbeat_ms = 100;
  std::uint64_t evict_ms = 10;
  std::uint64_t evict_after = 3;
  std::uint64_t rejoin_after = 10;
  std::uint64_t quorum_timeout_ms = 5000;
};

struct groups_section {
  std::uint64_t session_timeout_ms = 30'000;
  std::uint64_t heartbeat_ms = 3000;
  std::uint64_t partitions = 8;
};

struct quota_section {
  std::uint64_t ingest_bytes_per_s = 0;
  std::uint64_t fetch_bytes_per_s = 0;
  std::uint64_t topic_ingest_bytes_per_s = 0;
  std::uint64_t topic_fetch_bytes_per_s = 0;
  std::uint64_t connections = 0;
};

struct log_section {
  log_level level = log_level::info;
  log_format format = log_format::text;
};

struct tee_section {
  bool enabled = false;
};

struct config {
  node_section node;
  network_section network;
  http_section http;
  metrics_section metrics;
  io_section io;
  numa_section numa;
  lanes_section lanes;
  replication_section replication;
  durability_section durability;
  retention_section retention;
  disk_section disk;
  tls_section tls;
  auth_section auth;
  cluster_section cluster;
  groups_section groups;
  quota_section quota;
  log_section log;
  tee_section tee;
};

} // namespace lance::config
