#include "actors/doctor/proc_facts.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "actors/doctor/interrupts.hpp"
#include "runtime/machine.hpp"

namespace lance::actors::doctor {

namespace {

namespace fs = std::filesystem;

constexpr int nodes_max = 1024;                // the kernel's own bound
constexpr std::size_t processes_max = 100'000; // looked through for irqbalance

std::string first_line(const fs::path& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in{line};
  std::vector<std::string> words;
  for (std::string word; in >> word;)
    words.push_back(word);
  return words;
}

template <class Number>
std::optional<Number> number_in(std::string_view text, int base = 10) {
  Number value{};
  const auto* end = text.data() + text.size();
  const auto [at, status] = std::from_chars(text.data(), end, value, base);
  if (status != std::errc{} || at != end)
    return std::nullopt;
  return value;
}

// "Max open files            1024                 524288               files"
std::optional<limit> limit_named(const std::string& root, std::string_view name) {
  std::ifstream file{root + "/proc/self/limits"};
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name))
      continue;
    const auto words = words_of(line.substr(name.size()));
    const auto value = [](const std::string& word) -> std::optional<std::uint64_t> {
      return word == "unlimited" ? limit::unlimited : number_in<std::uint64_t>(word);
    };
    if (words.size() < 2 || !value(words[0]) || !value(words[1]))
      return std::nullopt;
    return limit{*value(words[0]), *value(words[1])};
  }
  return std::nullopt;
}

// The word behind "Name:" in /proc/self/status.
std::string status_word(const std::string& root, std::string_view name) {
  std::ifstream file{root + "/proc/self/status"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name))
      if (const auto words = words_of(line.substr(name.size())); !words.empty())
        return words[0];
  return {};
}

// "always [madvise] never"
std::string bracketed(const std::string& line) {
  const auto open = line.find('[');
  const auto close = line.find(']');
  return open == std::string::npos || close == std::string::npos || close < open
             ? std::string{}
             : line.substr(open + 1, close - open - 1);
}

// The interface of the route to everywhere; the one with the least metric.
std::string default_interface(const std::string& root) {
  std::ifstream file{root + "/proc/net/route"};
  std::string best;
  int best_metric = 0;
  for (std::string line; std::getline(file, line);) {
    const auto words = words_of(line);
    if (words.size() < 8 || words[1] != "00000000" || words[7] != "00000000")
      continue;
    const auto metric = number_in<int>(words[6]).value_or(0);
    if (best.empty() || metric < best_metric) {
      best = words[0];
      best_metric = metric;
    }
  }
  return best;
}

std::string interface_of_card(const std::string& root, const std::string& pci_address) {
  std::error_code failed;
  // Cards of the virtio kind have their interfaces one level further down.
  const fs::path device = root + "/sys/bus/pci/devices/" + pci_address;
  std::vector<fs::path> places{device / "net"};
  for (const auto& below : fs::directory_iterator{device, failed})
    places.push_back(below.path() / "net");
  for (const auto& place : places)
    for (const auto& entry : fs::directory_iterator{place, failed})
      return entry.path().filename();
  return {};
}

// Name of each numbered interrupt: the last word of its line in /proc/interrupts.
std::map<unsigned, std::string> interrupt_names(const std::string& root) {
  std::map<unsigned, std::string> names;
  std::ifstream file{root + "/proc/interrupts"};
  for (std::string line; std::getline(file, line);) {
    const auto words = words_of(line);
    if (words.size() < 2 || !words[0].ends_with(':'))
      continue;
    if (const auto number = number_in<unsigned>(words[0].substr(0, words[0].size() - 1)))
      names.emplace(*number, words.back());
  }
  return names;
}

// Numbers of the interrupts of an interface: those its device or one above it lists, else those
// that are named after it.
std::vector<unsigned> interrupts_of(const std::string& root, const std::string& interface,
                                    const std::map<unsigned, std::string>& names) {
  std::error_code failed;
  const auto device = fs::canonical(root + "/sys/class/net/" + interface + "/device", failed);
  std::vector<unsigned> numbers;
  auto path = device;
  for (int level = 0; level < 3 && !failed && numbers.empty(); ++level, path = path.parent_path()) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator{path / "msi_irqs", none})
      if (const auto number = number_in<unsigned>(entry.path().filename().string()))
        numbers.push_back(*number);
  }
  const auto bus_name = failed ? std::string{} : device.filename().string(); // "virtio2"
  if (numbers.empty())
    for (const auto& [number, name] : names)
      if (name == interface || name.starts_with(interface + '-') ||
          (!bus_name.empty() && (name == bus_name || name.starts_with(bus_name + '-'))))
        numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  if (numbers.size() > interrupts_max)
    numbers.resize(interrupts_max);
  return numbers;
}

bool irqbalance_runs(const std::string& root) {
  std::error_code failed;
  std::size_t looked_at = 0;
  for (const auto& entry : fs::directory_iterator{root + "/proc", failed}) {
    if (!number_in<unsigned>(entry.path().filename().string()))
      continue;
    if (++looked_at > processes_max)
      break;
    if (first_line(entry.path() / "comm") == "irqbalance")
      return true;
  }
  return false;
}

} // namespace

kernel_facts read_kernel(const std::string& root) {
  kernel_facts found;
  found.release = first_line(root + "/proc/sys/kernel/osrelease");
  found.io_uring_disabled = number_in<int>(first_line(root + "/proc/sys/kernel/io_uring_disabled"));
  found.seccomp = number_in<int>(status_word(root, "Seccomp:"));
  found.locked_memory = limit_named(root, "Max locked memory");
  found.open_files = limit_named(root, "Max open files");
  constexpr std::uint64_t ipc_lock = 1 << 14;
  const auto capabilities = number_in<std::uint64_t>(status_word(root, "CapEff:"), 16);
  found.may_lock_memory = (capabilities.value_or(0) & ipc_lock) != 0;
  found.backlog_max = number_in<std::uint64_t>(first_line(root + "/proc/sys/net/core/somaxconn"));
  found.huge_pages = bracketed(first_line(root + "/sys/kernel/mm/transparent_hugepage/enabled"));
  found.clock_source =
      first_line(root + "/sys/devices/system/clocksource/clocksource0/current_clocksource");
  return found;
}

std::vector<governor> read_governors(const std::string& root, const runtime::machine& machine) {
  std::vector<governor> found;
  for (const auto& cpu : machine.cpus) {
    if (!cpu.allowed)
      continue;
    auto word = first_line(root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu.id) +
                           "/cpufreq/scaling_governor");
    if (!word.empty())
      found.push_back({cpu.id, std::move(word)});
  }
  return found;
}

std::vector<std::vector<int>> read_node_distances(const std::string& root) {
  std::vector<std::vector<int>> table;
  for (int node = 0; node < nodes_max; ++node) {
    const auto line =
        first_line(root + "/sys/devices/system/node/node" + std::to_string(node) + "/distance");
    if (line.empty())
      break;
    table.emplace_back();
    for (const auto& word : words_of(line))
      table.back().push_back(number_in<int>(word).value_or(0));
  }
  return table;
}

card_facts read_card(const std::string& root, const std::string& pci_address,
                     const std::string& interface) {
  card_facts found;
  if (!pci_address.empty())
    found.interface = interface_of_card(root, pci_address);
  if (found.interface.empty())
    found.interface = interface.empty() ? default_interface(root) : interface;
  if (found.interface.empty())
    return found;
  const auto names = interrupt_names(root);
  for (const auto number : interrupts_of(root, found.interface, names)) {
    const auto name = names.find(number);
    found.interrupts.push_back({number, name == names.end() ? std::string{} : name->second,
                                runtime::parse_cpu_list(first_line(affinity_path(root, number)))});
  }
  found.balanced = irqbalance_runs(root);
  return found;
}

} // namespace lance::actors::doctor
