#include "runtime/machine.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <sstream>

#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "runtime/numa.hpp"

namespace lance::runtime {

namespace {

namespace fs = std::filesystem;

std::optional<std::string> first_line(const fs::path& path) {
  std::ifstream file{path};
  std::string line;
  if (!file || !std::getline(file, line))
    return std::nullopt;
  return line;
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto end = text.data() + text.size();
  const auto [at, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc{} || (at != end && *at != ' ' && *at != '\n'))
    return std::nullopt;
  return value;
}

template <class Number>
std::optional<Number> number_file(const fs::path& path) {
  const auto line = first_line(path);
  return line ? number_in<Number>(*line) : std::nullopt;
}

// -- processors ------------------------------------------------------------------------------

void read_cpus(machine& into, const machine_sources& sources) {
  const fs::path base = sources.root + "/sys/devices/system/cpu";
  auto ids = parse_cpu_list(first_line(base / "online").value_or(""));
  if (ids.empty())
    ids = sources.allowed;
  for (const int id : ids) {
    const auto topology = base / ("cpu" + std::to_string(id)) / "topology";
    const auto siblings =
        parse_cpu_list(first_line(topology / "thread_siblings_list").value_or(""));
    machine_cpu cpu;
    cpu.id = id;
    cpu.core = siblings.empty() ? id : siblings.front();
    cpu.node = sources.node_of != nullptr ? sources.node_of(id) : 0;
    cpu.allowed =
        std::find(sources.allowed.begin(), sources.allowed.end(), id) != sources.allowed.end();
    into.cpus.push_back(cpu);
  }
}

std::vector<int> affinity() {
  constexpr int most = 4096;
  std::vector<int> ids;
  auto* set = CPU_ALLOC(most);
  const auto bytes = CPU_ALLOC_SIZE(most);
  CPU_ZERO_S(bytes, set);
  if (::sched_getaffinity(0, bytes, set) == 0)
    for (int id = 0; id < most; ++id)
      if (CPU_ISSET_S(static_cast<std::size_t>(id), bytes, set))
        ids.push_back(id);
  CPU_FREE(set);
  if (ids.empty())
    ids.push_back(0);
  return ids;
}

// -- control groups --------------------------------------------------------------------------

// Path of this process in the hierarchy of a v1 controller; with "" in the v2 one.
std::optional<std::string> cgroup_path(const std::string& root, std::string_view controller) {
  std::ifstream file{root + "/proc/self/cgroup"};
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    std::stringstream names{line.substr(first + 1, second - first - 1)};
    if (controller.empty() && second == first + 1)
      return line.substr(second + 1);
    for (std::string name; std::getline(names, name, ',');)
      if (!controller.empty() && name == controller)
        return line.substr(second + 1);
  }
  return std::nullopt;
}

// Calls `look` for the group and all its parents below `mount`, and for the mount itself: a limit
// on any of them holds. Inside a container the path may name a directory that is not visible.
void each_group(const fs::path& mount, const std::string& group,
                const std::function<void(const fs::path&)>& look) {
  std::error_code ignored;
  for (auto path = fs::path{group}.relative_path(); !path.empty(); path = path.parent_path())
    if (fs::is_directory(mount / path, ignored))
      look(mount / path);
  look(mount);
}

void least(double& limit, double found) {
  if (found > 0 && (limit == 0 || found < limit))
    limit = found;
}

// "nr_throttled 12" among the lines of cpu.stat, which both versions write alike.
void read_throttling(machine& into, const fs::path& group) {
  constexpr std::string_view name = "nr_throttled ";
  std::ifstream file{group / "cpu.stat"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name))
      if (const auto count = number_in<std::uint64_t>(line.substr(name.size())))
        into.cpu_throttled = std::max(into.cpu_throttled, *count);
}

void read_cpu_quota(machine& into, const std::string& root) {
  const fs::path base = root + "/sys/fs/cgroup";
  for (const auto& mount : {base, base / "unified"})
    if (const auto group = cgroup_path(root, ""))
      each_group(mount, *group, [&](const fs::path& path) {
        const auto line = first_line(path / "cpu.max").value_or("max"); // "50000 100000"
        read_throttling(into, path);
        const auto space = line.find(' ');
        const auto quota = number_in<double>(line);
        if (space != std::string::npos && quota)
          if (const auto period = number_in<double>(line.substr(space + 1)); period > 0.0)
            least(into.cpu_quota, *quota / *period);
      });
  for (const auto* mount : {"cpu", "cpu,cpuacct"})
    if (const auto group = cgroup_path(root, "cpu"))
      each_group(base / mount, *group, [&](const fs::path& path) {
        const auto quota = number_file<double>(path / "cpu.cfs_quota_us"); // -1: none
        read_throttling(into, path);
        const auto period = number_file<double>(path / "cpu.cfs_period_us");
        if (quota && period && *period > 0)
          least(into.cpu_quota, *quota / *period);
      });
}

void read_memory_limit(machine& into, const std::string& root) {
  auto limit = std::numeric_limits<std::uint64_t>::max();
  const auto lower = [&](std::optional<std::uint64_t> found) {
    if (found)
      limit = std::min(limit, *found);
  };
  std::ifstream file{root + "/proc/meminfo"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("MemTotal:")) {
      const auto digit = line.find_first_of("0123456789");
      if (const auto kib = number_in<std::uint64_t>(line.substr(std::min(digit, line.size()))))
        lower(*kib * 1024);
    }
  const fs::path base = root + "/sys/fs/cgroup";
  for (const auto& mount : {base, base / "unified"})
    if (const auto group = cgroup_path(root, ""))
      each_group(mount, *group, [&](const fs::path& path) {
        lower(number_file<std::uint64_t>(path / "memory.max")); // "max" is no number
      });
  if (const auto group = cgroup_path(root, "memory"))
    each_group(base / "memory", *group, [&](const fs::path& path) {
      lower(number_file<std::uint64_t>(path / "memory.limit_in_bytes"));
    });
  if (limit != std::numeric_limits<std::uint64_t>::max())
    into.memory_limit_bytes = limit;
}

// -- devices ---------------------------------------------------------------------------------

// The nearest `numa_node` from a device upwards; -1 where the kernel knows none.
int node_above(const fs::path& device) {
  std::error_code failed;
  auto path = fs::canonical(device, failed);
  if (failed)
    return -1;
  for (; path.has_relative_path() && path.filename() != "sys"; path = path.parent_path())
    if (const auto node = number_file<int>(path / "numa_node"))
      return *node;
  return -1;
}

int disk_node(const std::string& root, const std::string& data_dir) {
  // The directory may not exist before the first start: its nearest parent is on the same disk.
  std::error_code ignored;
  struct stat status {};
  for (auto path = fs::absolute(data_dir, ignored); !path.empty(); path = path.parent_path()) {
    if (::stat(path.c_str(), &status) == 0)
      break;
    if (path == path.parent_path())
      return -1;
  }
  return node_above(root + "/sys/dev/block/" + std::to_string(major(status.st_dev)) + ':' +
                    std::to_string(minor(status.st_dev)));
}

} // namespace

std::vector<int> parse_cpu_list(const std::string& text) {
  constexpr int most = 1 << 16; // no kernel numbers CPUs beyond it: a bound for a mangled file
  std::vector<int> ids;
  std::stringstream parts{text};
  for (std::string part; std::getline(parts, part, ',');) {
    const auto dash = part.find('-');
    const auto first = number_in<int>(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : number_in<int>(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last >= most)
      continue;
    for (int id = *first; id <= *last; ++id)
      ids.push_back(id);
  }
  return ids;
}

std::string show_cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    auto end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1)
      ++end;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (end - i > 1)
      text += '-' + std::to_string(cpus[end - 1]);
    i = end;
  }
  return text;
}

machine read_machine(const machine_question& question, const machine_sources& sources) {
  machine answer;
  answer.node_count = sources.node_count;
  read_cpus(answer, sources);
  read_cpu_quota(answer, sources.root);
  read_memory_limit(answer, sources.root);
  if (!question.nic_pci_addr.empty()) {
    const auto card = sources.root + "/sys/bus/pci/devices/" + question.nic_pci_addr;
    std::error_code ignored;
    answer.nic_found = fs::exists(card, ignored);
    answer.nic_node = node_above(card);
  }
  if (!question.data_dir.empty())
    answer.nvme_node = disk_node(sources.root, question.data_dir);
  return answer;
}

machine read_machine(const machine_question& question) {
  return read_machine(question, {"", affinity(), numa_node_of, numa_node_count()});
}

} // namespace lance::runtime
