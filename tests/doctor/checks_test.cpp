#include "actors/doctor/checks.hpp"

#include <cerrno>
#include <functional>
#include <set>

#include <catch2/catch.hpp>

#include "tests/doctor/facts_of_a_good_node.hpp"

namespace lance::actors::doctor {
namespace {

using spoil = std::function<void(facts&)>;

// The check's answer about a good node that was spoilt like this.
void expect(check asked, const spoil& how, status wanted, const std::string& word,
            const std::string& remedy = {}) {
  auto known = facts_of_a_good_node();
  how(known);
  const auto found = asked(known);
  INFO(found.name << ": " << name_of(found.is) << ": " << found.what << " | " << found.fix);
  CHECK(found.is == wanted);
  CHECK(found.what.find(word) != std::string::npos);
  CHECK_FALSE(found.why.empty());
  if (wanted == status::warn || wanted == status::fail)
    CHECK_FALSE(found.fix.empty());
  CHECK(found.fix.find(remedy) != std::string::npos);
}

void well(
    check asked, const std::string& word, const spoil& how = [](facts&) {}) {
  expect(asked, how, status::ok, word);
}

auto& values(facts& known) {
  return known.wanted.values;
}

} // namespace

TEST_CASE("a good node passes every check, and every check has a name of its own") {
  const auto findings = judge(facts_of_a_good_node());
  REQUIRE(findings.size() == all_checks().size());
  CHECK(findings.size() >= 14);
  std::set<std::string> names;
  for (const auto& one : findings) {
    INFO(one.name << ": " << one.what);
    CHECK(one.is == status::ok);
    CHECK_FALSE(one.what.empty());
    CHECK_FALSE(one.why.empty());
    CHECK(one.fix.empty());
    names.insert(one.name);
  }
  CHECK(names.size() == findings.size());
}

TEST_CASE("of nothing known, nothing is believed") {
  for (const auto& one : judge({})) {
    INFO(one.name << ": " << one.what);
    CHECK_FALSE(one.what.empty());
    CHECK((one.fix.empty() || one.is == status::warn || one.is == status::fail));
  }
}

TEST_CASE("configuration") {
  well(check_configuration, "good");
  expect(
      check_configuration, [](facts& f) { f.wanted.notices = {"a.toml:3: odd"}; }, status::warn,
      "a.toml:3: odd", "lance --check");
  expect(
      check_configuration,
      [](facts& f) {
        f.wanted.errors = {"first", "second"};
      },
      status::fail, "2 errors, the first: first");
}

TEST_CASE("kernel") {
  well(check_kernel, "Linux 6.1.0");
  well(check_kernel, "10.2", [](facts& f) { f.kernel.release = "10.2"; });
  expect(
      check_kernel, [](facts& f) { f.kernel.release = "5.15.0-91-generic"; }, status::warn,
      "older than 6.0", "apt install");
  for (const auto* odd : {"", "six", "6", "6.x"})
    expect(
        check_kernel, [odd](facts& f) { f.kernel.release = odd; }, status::skip, "not known");
}

TEST_CASE("io_uring") {
  const auto refused = [](int why) {
    return [why](facts& f) {
      f.chosen.capabilities = {};
      f.chosen.capabilities.refusal = why;
    };
  };
  well(check_io_uring, "works");
  expect(check_io_uring, refused(EPERM), status::warn, "system calls take its place",
         "lance --print-config");
  expect(check_io_uring, refused(ENOSYS), status::warn, "Function not implemented", "apt install");
  expect(
      check_io_uring,
      [&](facts& f) {
        refused(EPERM)(f);
        f.kernel.io_uring_disabled = 2;
      },
      status::warn, "may not use io_uring", "sysctl -w kernel.io_uring_disabled=0");
  expect(
      check_io_uring,
      [&](facts& f) {
        refused(EPERM)(f);
        values(f).io.backend = config::io_backend::uring;
        f.kernel.seccomp = 2;
      },
      status::fail, "insists", "seccomp");
  expect(
      check_io_uring,
      [](facts& f) {
        f.kernel.missing_uring_operations = {"send", "recv"};
      },
      status::warn, "lacks send recv", "apt install");
  expect(
      check_io_uring, [](facts& f) { values(f).io.backend = config::io_backend::pwritev; },
      status::skip, "unused");
}

TEST_CASE("seccomp") {
  well(check_seccomp, "no filter");
  well(check_seccomp, "lets through", [](facts& f) { f.kernel.seccomp = 2; });
  expect(
      check_seccomp,
      [](facts& f) {
        f.kernel.seccomp = 2;
        f.chosen.capabilities = {};
      },
      status::warn, "io_uring is refused", "io_uring_setup");
  expect(
      check_seccomp, [](facts& f) { f.kernel.seccomp.reset(); }, status::skip, "not known");
}

TEST_CASE("locked memory") {
  well(check_locked_memory, "unlimited");
  const auto little = [](facts& f) { f.kernel.locked_memory = limit{8 * MiB, 8 * MiB}; };
  expect(check_locked_memory, little, status::warn, "the limit is 8 MiB, the buffers take 192 MiB",
         "LimitMEMLOCK=infinity");
  well(check_locked_memory, "CAP_IPC_LOCK", [&](facts& f) {
    little(f);
    f.kernel.may_lock_memory = true;
  });
  expect(
      check_locked_memory, [](facts& f) { f.chosen.capabilities.registered_buffers = false; },
      status::warn, "unregistered", "ulimit -l");
  expect(
      check_locked_memory, [](facts& f) { f.kernel.locked_memory.reset(); }, status::skip,
      "not known");
  expect(
      check_locked_memory, [](facts& f) { f.chosen.capabilities.available = false; }, status::skip,
      "nothing is registered");
}

TEST_CASE("open files") {
  well(check_open_files, "65536 descriptors");
  well(check_open_files, "unlimited", [](facts& f) { f.kernel.open_files = limit{}; });
  expect(
      check_open_files,
      [](facts& f) {
        f.kernel.open_files = limit{1024, 4096};
      },
      status::warn, "want 2048", "LimitNOFILE=2048");
  expect(
      check_open_files,
      [](facts& f) {
        f.kernel.open_files = limit{4096, 4096};
        values(f).network.max_connections = 10'000;
      },
      status::warn, "10000 connections", "ulimit -n 11024");
  expect(
      check_open_files,
      [](facts& f) {
        f.kernel.open_files = limit{127, 127};
      },
      status::fail, "127 descriptors");
  expect(
      check_open_files, [](facts& f) { f.kernel.open_files.reset(); }, status::skip, "not known");
}

TEST_CASE("huge pages") {
  well(check_huge_pages, "madvise");
  well(check_huge_pages, "always", [](facts& f) { f.kernel.huge_pages = "always"; });
  expect(
      check_huge_pages, [](facts& f) { f.kernel.huge_pages = "never"; }, status::warn, "never",
      "echo madvise >");
  expect(
      check_huge_pages, [](facts& f) { f.kernel.huge_pages.clear(); }, status::skip, "no trans");
}

TEST_CASE("clock") {
  well(check_clock, "synchronised, within 4 ms; the monotonic clock is steady");
  expect(
      check_clock, [](facts& f) { f.clock.synchronised = false; }, status::warn, "not synchronised",
      "timedatectl set-ntp true");
  expect(
      check_clock, [](facts& f) { f.clock.error_us_max = 100'001; }, status::warn, "within 100 ms");
  expect(
      check_clock, [](facts& f) { f.clock.synchronised.reset(); }, status::skip, "not known");
  expect(
      check_clock, [](facts& f) { f.clock.steady = false; }, status::fail, "goes backwards",
      "clocksource=");
}

TEST_CASE("clock source") {
  well(check_clock_source, "tsc");
  well(check_clock_source, "kvm-clock", [](facts& f) { f.kernel.clock_source = "kvm-clock"; });
  expect(
      check_clock_source, [](facts& f) { f.kernel.clock_source = "hpet"; }, status::warn,
      "a slow source", "current_clocksource");
  expect(
      check_clock_source, [](facts& f) { f.kernel.clock_source.clear(); }, status::skip,
      "not known");
}

TEST_CASE("CPU placement") {
  well(check_placement, "4 CPUs may be used; 2 lanes, 2 of them pinned, each for one stage");
  well(check_placement, "not pinned, each for all stages", [](facts& f) {
    f.chosen.plan.fused = true;
    for (auto& lane : f.chosen.plan.lanes)
      lane.cpu = -1;
  });
  expect(
      check_placement,
      [](facts& f) {
        values(f).lanes.cpus = {1, 3};
        f.chosen.machine.cpus[3].allowed = false;
      },
      status::warn, "CPU 3, which this process may not use", "Cpus_allowed_list");
  expect(
      check_placement,
      [](facts& f) {
        values(f).lanes.network = 4;
        values(f).lanes.io = 4;
      },
      status::warn, "8 lanes were asked for", "--print-config");
  expect(
      check_placement,
      [](facts& f) {
        for (auto& cpu : f.chosen.machine.cpus)
          cpu.allowed = cpu.id == 0;
      },
      status::warn, "1 CPU may be used", "two CPUs");
}

TEST_CASE("CPU frequency") {
  well(check_cpu_frequency, "full speed");
  expect(
      check_cpu_frequency, [](facts& f) { f.governors[1].word = "powersave"; }, status::warn,
      "the governor of CPU 1 is powersave", "cpupower");
  expect(
      check_cpu_frequency, [](facts& f) { f.governors.clear(); }, status::skip, "does not let");
}

TEST_CASE("memory nodes") {
  const auto two = [](facts& f) {
    auto& machine = f.chosen.machine;
    machine.node_count = 2;
    machine.nic_node = machine.nvme_node = 0;
    machine.cpus[2].node = machine.cpus[3].node = 1;
    f.chosen.plan.lanes[1].cpu = 0;
    f.node_distances = {{10, 21}, {21, 10}};
  };
  well(check_numa, "one memory node");
  well(check_numa, "2 memory nodes; the card is on 0, the disk on 0 (distance 10)", two);
  expect(
      check_numa,
      [&](facts& f) {
        two(f);
        f.chosen.machine.nvme_node = -1;
      },
      status::skip, "of the disk is not known");
  expect(
      check_numa,
      [&](facts& f) {
        two(f);
        f.chosen.machine.nic_node = -1;
      },
      status::skip, "of the network card is not known");
  expect(
      check_numa,
      [&](facts& f) {
        two(f);
        f.chosen.plan.lanes[1].cpu = 2;
      },
      status::warn, "0 network lanes and 1 I/O lane run elsewhere", "lanes.cpus");
  expect(
      check_numa,
      [&](facts& f) {
        two(f);
        f.chosen.machine.nvme_node = 1;
        f.chosen.plan.lanes[1].cpu = 2;
      },
      status::warn, "(distance 21): every record crosses", "lspci");
  expect(
      check_numa,
      [&](facts& f) {
        two(f);
        values(f).numa.enabled = false;
      },
      status::warn, "leaves the lanes anywhere", "numa.enabled = true");
}

TEST_CASE("interrupts") {
  well(check_interrupts, "2 interrupts of eth0; lanes on CPUs 1-2; none arrives there");
  const auto disturbed = [](facts& f) { f.card.interrupts[1].cpus = {0, 1, 2, 3}; };
  expect(check_interrupts, disturbed, status::warn, "1 may arrive there",
         "echo 0 > /proc/irq/25/smp_affinity_list  # or, as root: lance doctor --apply");
  expect(
      check_interrupts,
      [&](facts& f) {
        disturbed(f);
        f.card.balanced = true;
      },
      status::warn, "1 may arrive", "systemctl disable --now irqbalance; echo 0 >");
  expect(
      check_interrupts, [](facts& f) { f.card.balanced = true; }, status::warn,
      "irqbalance moves them", "systemctl disable --now irqbalance");
  expect(
      check_interrupts,
      [](facts& f) {
        f.chosen.machine.cpus.resize(3);
        f.chosen.machine.cpus.erase(f.chosen.machine.cpus.begin());
      },
      status::warn, "which are all there are", "lanes.cpus");
  expect(
      check_interrupts,
      [](facts& f) {
        for (auto& lane : f.chosen.plan.lanes)
          lane.cpu = -1;
      },
      status::skip, "not pinned");
  expect(
      check_interrupts, [](facts& f) { f.card = {}; }, status::skip, "no network card");
  expect(
      check_interrupts, [](facts& f) { f.card.interrupts.clear(); }, status::skip,
      "no interrupt of eth0");
}

TEST_CASE("limit of CPU time") {
  well(check_cpu_limit, "no limit");
  well(check_cpu_limit, "2.5 CPUs' time", [](facts& f) { f.chosen.machine.cpu_quota = 2.5; });
  expect(
      check_cpu_limit, [](facts& f) { f.chosen.machine.cpu_quota = 0.5; }, status::warn,
      "0.5 CPUs' time: one busy lane", "CPUQuota");
  expect(
      check_cpu_limit,
      [](facts& f) {
        f.chosen.machine.cpu_quota = 4;
        f.chosen.machine.cpu_throttled = 12;
      },
      status::warn, "stopped all threads 12 times", "limits.cpu");
}

TEST_CASE("limit of memory") {
  well(check_memory_limit, "8192 MiB may be used, the buffers take 192");
  expect(
      check_memory_limit, [](facts& f) { f.chosen.machine.memory_limit_bytes = 383 * MiB; },
      status::warn, "383 MiB", "MemoryMax");
  expect(
      check_memory_limit, [](facts& f) { f.chosen.machine.memory_limit_bytes = 255 * MiB; },
      status::fail, "255 MiB", "io.buffer_bytes");
  expect(
      check_memory_limit, [](facts& f) { f.chosen.machine.memory_limit_bytes = 0; }, status::skip,
      "not known");
}

TEST_CASE("data directory") {
  well(check_data_directory, "/var/lib/lance (xfs)");
  well(check_data_directory, "a broker runs on it", [](facts& f) { f.disk.broker_runs = true; });
  well(check_data_directory, "not there yet and can be made",
       [](facts& f) { f.disk.looked_at = "/var/lib"; });
  expect(
      check_data_directory, [](facts& f) { f.disk.error = EROFS; }, status::fail,
      "cannot be written: Read-only file system", "install -d");
  expect(
      check_data_directory,
      [](facts& f) {
        f.disk.looked_at = "/var";
        f.disk.error = EACCES;
      },
      status::fail, "is not there yet, and /var cannot be written", "install -d");
  for (const auto* memory : {"tmpfs", "ramfs"})
    expect(
        check_data_directory, [memory](facts& f) { f.disk.file_system = memory; }, status::warn,
        "lies in memory", "node.data_dir");
  for (const auto* far : {"nfs", "cifs", "fuse"})
    expect(
        check_data_directory, [far](facts& f) { f.disk.file_system = far; }, status::warn,
        "over the network", "node.data_dir");
}

TEST_CASE("direct I/O") {
  well(check_direct_io, "O_DIRECT works");
  expect(
      check_direct_io, [](facts& f) { f.disk.direct = false; }, status::warn, "refuses O_DIRECT",
      "mkfs");
  expect(
      check_direct_io, [](facts& f) { f.disk.direct.reset(); }, status::skip, "not tried");
  expect(
      check_direct_io, [](facts& f) { values(f).io.o_direct = false; }, status::skip, "unused");
}

TEST_CASE("flush") {
  well(check_flush, "4 KiB written and flushed in 220 us (median of 200), at worst 2000 us");
  const auto slow = [](facts& f) { f.disk.flush_ns_p50 = 5 * ms_in_ns; };
  expect(check_flush, slow, status::warn, "5000 us", "power-loss protection");
  expect(
      check_flush, [](facts& f) { f.disk.flush_ns_max = 100 * ms_in_ns; }, status::warn,
      "at worst 100000 us");
  well(check_flush, "does not wait for it", [&](facts& f) {
    slow(f);
    values(f).durability.level = durability::written;
  });
  expect(
      check_flush, [](facts& f) { f.disk.flushes = 0; }, status::skip, "not measured");
}

TEST_CASE("disk space") {
  well(check_disk_space, "40 % used, 61440 MiB free");
  expect(
      check_disk_space, [](facts& f) { f.disk.free_bytes = 15 * GiB; }, status::warn,
      "beyond disk.warn, 85 %", "df -h /var/lib/lance");
  expect(
      check_disk_space, [](facts& f) { f.disk.free_bytes = 5 * GiB; }, status::fail,
      "refused from 95 % on");
  expect(
      check_disk_space,
      [](facts& f) {
        f.disk.total_bytes = 300 * MiB;
        f.disk.free_bytes = 63 * MiB;
      },
      status::warn, "not enough for disk.ballast_bytes");
  expect(
      check_disk_space, [](facts& f) { f.disk.free_inodes = 0; }, status::fail, "no inode",
      "df -i");
  expect(
      check_disk_space, [](facts& f) { f.disk.free_inodes = 9999; }, status::warn,
      "9999 inodes are left", "df -i");
  well(check_disk_space, "40 %", [](facts& f) { f.disk.total_inodes = f.disk.free_inodes = 0; });
  expect(
      check_disk_space, [](facts& f) { f.disk.total_bytes = 0; }, status::skip, "not known");
}

TEST_CASE("ports") {
  well(check_ports, "free: 127.0.0.1:1992, 127.0.0.1:8080");
  const auto taken = [](int error) {
    return [error](facts& f) {
      f.listeners[1].error = error;
      f.listeners[1].trouble = "cannot listen";
    };
  };
  expect(check_ports, taken(EADDRINUSE), status::fail, "http.bind: cannot listen",
         "ss -ltnp 'sport = :8080'");
  expect(check_ports, taken(EACCES), status::fail, "cannot listen", "setcap");
  expect(check_ports, taken(0), status::fail, "cannot listen", "ip -br address");
  expect(
      check_ports,
      [&](facts& f) {
        taken(EADDRINUSE)(f);
        f.disk.broker_runs = true;
      },
      status::skip, "the broker that runs");
  expect(
      check_ports, [](facts& f) { f.listeners.clear(); }, status::skip, "nothing");
}

TEST_CASE("backlog") {
  well(check_backlog, "4096 connections");
  expect(
      check_backlog, [](facts& f) { f.kernel.backlog_max = 128; }, status::warn, "1024 are asked",
      "sysctl -w net.core.somaxconn=1024");
  expect(
      check_backlog, [](facts& f) { f.kernel.backlog_max.reset(); }, status::skip, "not known");
}

TEST_CASE("certificate") {
  constexpr std::int64_t day = 24 * 3600;
  well(check_tls, "good for 90 days");
  well(check_tls, "good for 14 days", [](facts& f) { f.tls_seconds_left = 14 * day; });
  expect(
      check_tls, [](facts& f) { f.tls_seconds_left = 14 * day - 1; }, status::warn,
      "good for 13 days", "/etc/lance/tls.crt");
  expect(
      check_tls,
      [](facts& f) {
        f.tls_seconds_left.reset();
        f.tls_trouble = "tls.cert has ended";
      },
      status::fail, "tls.cert has ended", "openssl x509");
  expect(
      check_tls, [](facts& f) { f.tls_seconds_left.reset(); }, status::skip, "not encrypted");
}

TEST_CASE("access") {
  well(check_access, "can be read");
  expect(
      check_access, [](facts& f) { f.access_trouble = "auth.acl: line 3"; }, status::fail,
      "auth.acl: line 3", "lnc acl list");
  expect(
      check_access, [](facts& f) { values(f).auth.enabled = false; }, status::skip, "nobody");
}

TEST_CASE("exposure") {
  well(check_exposure, "all listeners are on loopback");
  const auto open = [](facts& f) { values(f).network.bind = "0.0.0.0:1992"; };
  well(check_exposure, "encrypted and asks who it speaks to", open);
  expect(
      check_exposure,
      [&](facts& f) {
        open(f);
        values(f).tls.cert.clear();
      },
      status::warn, "is not encrypted", "tls.cert");
  expect(
      check_exposure,
      [&](facts& f) {
        open(f);
        values(f).auth.enabled = false;
      },
      status::warn, "asks nobody who it is", "auth.enabled");
  well(check_exposure, "asks who", [&](facts& f) { // a certificate says who it is, too
    open(f);
    values(f).auth.enabled = false;
    values(f).tls.require_client_cert = true;
  });
  expect(
      check_exposure, [](facts& f) { values(f).http.bind = "[::]:8080"; }, status::warn,
      "switch readiness", "http.bind");
  expect(
      check_exposure, [](facts& f) { values(f).metrics.bind = "10.0.0.7:9090"; }, status::warn,
      "shows the load", "metrics.bind");
  well(check_exposure, "loopback", [](facts& f) { values(f).http.bind.clear(); });
}

} // namespace lance::actors::doctor
