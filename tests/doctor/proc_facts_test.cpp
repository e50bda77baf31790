#include "actors/doctor/proc_facts.hpp"

#include <catch2/catch.hpp>

#include "tests/doctor/made_tree.hpp"

namespace lance::actors::doctor {

TEST_CASE("what the kernel says of itself and grants this process") {
  const made_tree tree;
  tree.file("/proc/sys/kernel/osrelease", "6.1.0-18-amd64")
      .file("/proc/sys/kernel/io_uring_disabled", "2")
      .file("/proc/self/status",
            "Name:\tlance\nSeccomp:\t2\nSeccomp_filters:\t1\nCapEff:\t0000000000004000")
      .file("/proc/self/limits",
            "Limit                     Soft Limit           Hard Limit           Units     \n"
            "Max open files            1024                 524288               files     \n"
            "Max locked memory         8388608              unlimited            bytes     ")
      .file("/proc/sys/net/core/somaxconn", "4096")
      .file("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
      .file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc");
  const auto found = read_kernel(tree.root());
  CHECK(found.release == "6.1.0-18-amd64");
  CHECK(found.io_uring_disabled == 2);
  CHECK(found.seccomp == 2);
  CHECK(found.may_lock_memory);
  REQUIRE(found.open_files);
  CHECK(found.open_files->soft == 1024);
  CHECK(found.open_files->hard == 524288);
  REQUIRE(found.locked_memory);
  CHECK(found.locked_memory->soft == 8 * MiB);
  CHECK(found.locked_memory->hard == limit::unlimited);
  CHECK(found.backlog_max == 4096);
  CHECK(found.huge_pages == "madvise");
  CHECK(found.clock_source == "tsc");
}

TEST_CASE("an empty tree and a mangled one leave everything unknown") {
  const made_tree empty;
  const made_tree mangled;
  mangled.file("/proc/self/status", "Seccomp:\nCapEff:\tzz\nSeccomp:\tx")
      .file("/proc/self/limits", "Max open files\nMax locked memory   many   few")
      .file("/proc/sys/net/core/somaxconn", "-4096")
      .file("/sys/kernel/mm/transparent_hugepage/enabled", "]always[");
  for (const auto* tree : {&empty, &mangled}) {
    const auto found = read_kernel(tree->root());
    CHECK(found.release.empty());
    CHECK_FALSE(found.io_uring_disabled);
    CHECK_FALSE(found.seccomp);
    CHECK_FALSE(found.may_lock_memory);
    CHECK_FALSE(found.open_files);
    CHECK_FALSE(found.locked_memory);
    CHECK_FALSE(found.backlog_max);
    CHECK(found.huge_pages.empty());
    CHECK(read_node_distances(tree->root()).empty());
    CHECK(read_card(tree->root(), "0000:3b:00.0", "").interface.empty());
  }
}

TEST_CASE("governors of the CPUs we may use") {
  const made_tree tree;
  for (const auto* cpu : {"0", "1"})
    tree.file(std::string{"/sys/devices/system/cpu/cpu"} + cpu + "/cpufreq/scaling_governor",
              "powersave");
  runtime::machine machine;
  machine.cpus = {{0, 0, 0, false}, {1, 0, 1, true}, {2, 0, 2, true}};
  const auto found = read_governors(tree.root(), machine);
  REQUIRE(found.size() == 1);
  CHECK(found[0].cpu == 1);
  CHECK(found[0].word == "powersave");
}

TEST_CASE("distances of memory nodes") {
  const made_tree tree;
  tree.file("/sys/devices/system/node/node0/distance", "10 21")
      .file("/sys/devices/system/node/node1/distance", "21 10");
  CHECK(read_node_distances(tree.root()) == std::vector<std::vector<int>>{{10, 21}, {21, 10}});
}

TEST_CASE("the card of the default route, its interrupts by its device") {
  const made_tree tree;
  tree.file("/proc/net/route", "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
                               "eth1\t00000000\t01020304\t3\t0\t0\t100\t00000000\n"
                               "eth0\t00000000\t01020304\t3\t0\t0\t10\t00000000\n"
                               "eth2\t0002000A\t00000000\t1\t0\t0\t0\t00FFFFFF")
      .file("/proc/interrupts", "      CPU0  CPU1\n 24:  1  0  PCI-MSI 1-edge  eth0-rx-0\n"
                                " 25:  1  0  PCI-MSI 2-edge  eth0-tx-0\nNMI: 0 0 Non-maskable")
      .file("/proc/irq/24/smp_affinity_list", "0-1")
      .file("/proc/irq/25/smp_affinity_list", "1")
      .link("/sys/class/net/eth0/device", "/sys/devices/pci0/0000:3b:00.0")
      .file("/sys/devices/pci0/0000:3b:00.0/msi_irqs/25", "msix")
      .file("/sys/devices/pci0/0000:3b:00.0/msi_irqs/24", "msix");
  const auto found = read_card(tree.root(), "", "");
  CHECK(found.interface == "eth0");
  REQUIRE(found.interrupts.size() == 2);
  CHECK(found.interrupts[0].number == 24);
  CHECK(found.interrupts[0].name == "eth0-rx-0");
  CHECK(found.interrupts[0].cpus == std::vector{0, 1});
  CHECK(found.interrupts[1].cpus == std::vector{1});
  CHECK_FALSE(found.balanced);
  tree.file("/proc/812/comm", "irqbalance");
  CHECK(read_card(tree.root(), "", "").balanced);
  CHECK(read_card(tree.root(), "", "eth7").interface == "eth7");
}

TEST_CASE("a virtual card: named by its address, its interrupts one device further up") {
  const made_tree tree;
  tree.link("/sys/bus/pci/devices/0000:00:03.0", "/sys/devices/pci0/0000:00:03.0")
      .file("/sys/devices/pci0/0000:00:03.0/virtio2/net/ens3/mtu", "1500")
      .link("/sys/class/net/ens3/device", "/sys/devices/pci0/0000:00:03.0/virtio2")
      .file("/sys/devices/pci0/0000:00:03.0/msi_irqs/38", "msix");
  const auto found = read_card(tree.root(), "0000:00:03.0", "");
  CHECK(found.interface == "ens3");
  REQUIRE(found.interrupts.size() == 1);
  CHECK(found.interrupts[0].number == 38);
  CHECK(found.interrupts[0].cpus.empty());
}

TEST_CASE("without a list of interrupts their names tell whose they are") {
  const made_tree tree;
  tree.link("/sys/class/net/eth0/device", "/sys/devices/platform/virtio2")
      .file("/proc/interrupts", " 31: 0 IO virtio2-input.0\n 32: 0 IO virtio21-input.0\n"
                                " 33: 0 IO eth0\n 34: 0 IO eth01\n 35: 0 IO eth0-TxRx-1");
  const auto found = read_card(tree.root(), "", "eth0");
  REQUIRE(found.interrupts.size() == 3);
  CHECK(found.interrupts[0].number == 31);
  CHECK(found.interrupts[1].number == 33);
  CHECK(found.interrupts[2].number == 35);
}

} // namespace lance::actors::doctor
