#include "runtime/machine.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "runtime/types.hpp"

using namespace lance;
using namespace lance::runtime;
namespace fs = std::filesystem;

namespace {

// A made-up /sys and /proc.
class made_tree {
 public:
  made_tree() {
    std::string pattern = (fs::temp_directory_path() / "lance_machine_XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
  }
  ~made_tree() { fs::remove_all(root_); }
  made_tree& file(const std::string& path, const std::string& text) {
    fs::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
    std::ofstream{root_ + path} << text << '\n';
    return *this;
  }
  machine read(const std::vector<int>& allowed = {0}, const machine_question& question = {}) {
    return read_machine(question, {root_, allowed, [](int cpu) { return cpu / 2; }, 2});
  }
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  std::string root_;
};

} // namespace

TEST_CASE("CPUs come with their core, node and permission") {
  made_tree tree;
  tree.file("/sys/devices/system/cpu/online", "0-2,5");
  for (const auto* cpu : {"0", "1"})
    tree.file(std::string{"/sys/devices/system/cpu/cpu"} + cpu + "/topology/thread_siblings_list",
              "0-1");
  const auto m = tree.read({1, 2});
  REQUIRE(m.cpus.size() == 4);
  CHECK(m.cpus[1].core == 0);
  CHECK(m.cpus[2].core == 2); // no word about siblings: a core of its own
  CHECK(m.cpus[3].id == 5);
  CHECK(m.cpus[3].node == 2);
  CHECK_FALSE(m.cpus[0].allowed);
  CHECK(m.cpus[1].allowed);
  CHECK_FALSE(m.cpus[3].allowed);
}

TEST_CASE("the second version of cgroups: the tightest limit on the way up holds") {
  made_tree tree;
  tree.file("/proc/self/cgroup", "0::/pods/one")
      .file("/proc/meminfo", "MemTotal:       24683520 kB")
      .file("/sys/fs/cgroup/pods/one/cpu.max", "max 100000")
      .file("/sys/fs/cgroup/pods/cpu.max", "150000 100000")
      .file("/sys/fs/cgroup/pods/cpu.stat", "usage_usec 5\nnr_periods 90\nnr_throttled 12")
      .file("/sys/fs/cgroup/pods/one/memory.max", "268435456")
      .file("/sys/fs/cgroup/pods/memory.max", "max");
  const auto m = tree.read();
  CHECK(m.cpu_quota == 1.5);
  CHECK(m.cpu_throttled == 12);
  CHECK(m.memory_limit_bytes == 256 * MiB);
}

TEST_CASE("inside a container the group's own path is not visible") {
  made_tree tree;
  tree.file("/proc/self/cgroup", "0::/kubepods/burstable/pod7")
      .file("/sys/fs/cgroup/cpu.max", "50000 100000")
      .file("/sys/fs/cgroup/memory.max", "134217728");
  const auto m = tree.read();
  CHECK(m.cpu_quota == 0.5);
  CHECK(m.memory_limit_bytes == 128 * MiB);
}

TEST_CASE("the first version of cgroups, and unlimited in its words") {
  made_tree tree;
  tree.file("/proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/b\n0::/")
      .file("/proc/meminfo", "MemFree: 1 kB\nMemTotal: 1048576 kB")
      .file("/sys/fs/cgroup/cpu,cpuacct/b/cpu.cfs_quota_us", "300000")
      .file("/sys/fs/cgroup/cpu,cpuacct/b/cpu.cfs_period_us", "100000")
      .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1")
      .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")
      .file("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712");
  const auto m = tree.read();
  CHECK(m.cpu_quota == 3);
  CHECK(m.memory_limit_bytes == GiB);
}

TEST_CASE("lists of CPUs are read and written as the kernel does") {
  CHECK(parse_cpu_list("0-3,8,10-11") == std::vector{0, 1, 2, 3, 8, 10, 11});
  CHECK(parse_cpu_list("").empty());
  CHECK(show_cpu_list({0, 1, 2, 3, 8, 10, 11}) == "0-3,8,10-11");
  CHECK(show_cpu_list({7}) == "7");
  CHECK(show_cpu_list({}).empty());
}

TEST_CASE("mangled files leave the defaults") {
  made_tree tree;
  tree.file("/sys/devices/system/cpu/online", "x-9,,4-,99999999999")
      .file("/proc/self/cgroup", "nonsense")
      .file("/proc/meminfo", "MemTotal:")
      .file("/sys/fs/cgroup/cpu.max", "12");
  const auto m = tree.read({3});
  REQUIRE(m.cpus.size() == 1);
  CHECK(m.cpus[0].id == 3);
  CHECK(m.cpus[0].allowed);
  CHECK(m.cpu_quota == 0);
  CHECK(m.memory_limit_bytes == 0);
}

TEST_CASE("the network card's node is found, an absent card's is not") {
  made_tree tree;
  tree.file("/sys/devices/pci0/0000:3b:00.0/numa_node", "1");
  fs::create_directories(tree.root() + "/sys/bus/pci/devices");
  fs::create_directory_symlink(tree.root() + "/sys/devices/pci0/0000:3b:00.0",
                               tree.root() + "/sys/bus/pci/devices/0000:3b:00.0");
  CHECK(tree.read({0}, {"0000:3b:00.0", ""}).nic_node == 1);
  CHECK(tree.read({0}, {"0000:3c:00.0", ""}).nic_node == -1);
}

TEST_CASE("the machine this runs on has a CPU for us and some memory") {
  const auto m = read_machine({"", "/tmp/not/there/yet"});
  CHECK(std::any_of(m.cpus.begin(), m.cpus.end(), [](const auto& cpu) { return cpu.allowed; }));
  CHECK(m.memory_limit_bytes > 16 * MiB);
  CHECK(m.node_count >= 1);
}
