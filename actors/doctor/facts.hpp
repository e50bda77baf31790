// What `lance doctor` knows when it judges: plain values, gathered by proc_facts (files of /proc
// and /sys below any root) and probes (by trying). What could not be learnt stays empty, and the
// check that wants it is skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/choice.hpp"
#include "config/load.hpp"

namespace lance::actors::doctor {

/// A soft and a hard limit of this process.
struct limit {
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};
  std::uint64_t soft = unlimited;
  std::uint64_t hard = unlimited;
};

struct kernel_facts {
  std::string release;                  ///< "6.1.0-18-amd64"
  std::optional<int> io_uring_disabled; ///< the sysctl, where the kernel has it
  std::optional<int> seccomp;           ///< 0 none, 1 strict, 2 a filter
  std::optional<limit> locked_memory;
  std::optional<limit> open_files;
  bool may_lock_memory = false;             ///< CAP_IPC_LOCK: the limit does not hold
  std::optional<std::uint64_t> backlog_max; ///< net.core.somaxconn
  std::string huge_pages;   ///< the chosen word: "always", "madvise", "never"; empty: not known
  std::string clock_source; ///< "tsc", "kvm-clock", ...
  std::vector<std::string> missing_uring_operations;
};

struct clock_facts {
  std::optional<bool> synchronised;
  std::uint64_t error_us_max = 0; ///< as the kernel estimates it; meaningful when synchronised
  bool steady = true;             ///< many readings, none before the one before
};

/// Where the data will lie. The directory may not exist yet: then its nearest parent is looked at.
struct disk_facts {
  std::string looked_at;         ///< the directory, or its nearest parent
  int error = 0;                 ///< errno: it cannot be made or written
  bool broker_runs = false;      ///< somebody holds the directory's lock
  std::string file_system;       ///< "ext4", "xfs", "tmpfs", ...; empty: another
  std::optional<bool> direct;    ///< O_DIRECT works
  std::uint64_t total_bytes = 0; ///< 0: not known
  std::uint64_t free_bytes = 0;
  std::uint64_t total_inodes = 0; ///< 0: the file system has no such number
  std::uint64_t free_inodes = 0;
  std::uint64_t flushes = 0;      ///< measured; 0: none
  std::uint64_t flush_ns_p50 = 0; ///< 4 KiB written and flushed
  std::uint64_t flush_ns_max = 0;
};

struct governor {
  int cpu = 0;
  std::string word; ///< "performance", "powersave", ...
};

struct interrupt {
  unsigned number = 0;
  std::string name;      ///< "eth0-rx-3"
  std::vector<int> cpus; ///< where it may arrive
};

struct card_facts {
  std::string interface; ///< "eth0"; empty: none was found
  std::vector<interrupt> interrupts;
  bool balanced = false; ///< irqbalance runs, and moves them as it thinks
};

/// One of our listeners and what came of trying its address.
struct listener_facts {
  std::string key;     ///< "network.bind"
  std::string address; ///< as configured
  int error = 0;       ///< errno of the attempt; 0: it is free
  std::string trouble; ///< a sentence when there was any
};

struct facts {
  config::loaded wanted; ///< what the operator wants
  choice chosen;         ///< what the machine is, and what that makes of it
  kernel_facts kernel;
  clock_facts clock;
  disk_facts disk;
  std::vector<governor> governors;              ///< of allowed CPUs
  std::vector<std::vector<int>> node_distances; ///< [from][to]; empty: not known
  card_facts card;
  std::vector<listener_facts> listeners;
  std::string tls_trouble; ///< why TLS cannot be set up; empty: it can, or is not wanted
  std::optional<std::int64_t> tls_seconds_left; ///< of our certificate
  std::string access_trouble;                   ///< why tokens and rules cannot be used
};

} // namespace lance::actors::doctor
