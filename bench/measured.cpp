#include "bench/measured.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

namespace lance::bench {

namespace {

double seconds(const timeval& value) {
  return static_cast<double>(value.tv_sec) + static_cast<double>(value.tv_usec) / 1e6;
}

double cpu_of(int who) {
  rusage usage{};
  if (::getrusage(who, &usage) != 0)
    give_up_errno("getrusage");
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

} // namespace

void give_up(const std::string& why) {
  std::fprintf(stderr, "bench: %s\n", why.c_str());
  std::_Exit(1); // other threads may be anywhere
}

void give_up_errno(const std::string& deed) {
  give_up(deed + ": " + std::strerror(errno));
}

std::uint64_t now_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

void sleep_until_ns(std::uint64_t when) {
  const auto now = now_ns();
  if (when > now)
    std::this_thread::sleep_for(std::chrono::nanoseconds{when - now});
}

latencies::latencies(std::size_t most) : taken_(most) {}

void latencies::add(std::uint64_t ns) noexcept {
  if (count_ == taken_.size()) {
    ++left_out_;
    return;
  }
  taken_[count_++] = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(ns, std::numeric_limits<std::uint32_t>::max()));
}

void latencies::merge(const latencies& other) {
  for (std::size_t i = 0; i < other.count_; ++i)
    add(other.taken_[i]);
  left_out_ += other.left_out_;
}

nlohmann::json latencies::summary() {
  const auto end = taken_.begin() + static_cast<std::ptrdiff_t>(count_);
  std::sort(taken_.begin(), end);
  const auto at = [this](double fraction) {
    if (count_ == 0)
      return 0.0;
    const auto index = static_cast<std::size_t>(fraction * static_cast<double>(count_ - 1));
    return static_cast<double>(taken_[index]) / 1e3;
  };
  return {{"count", count_},    {"left_out", left_out_}, {"p50_us", at(0.5)},
          {"p99_us", at(0.99)}, {"p999_us", at(0.999)},  {"max_us", at(1.0)}};
}

double own_cpu_seconds() {
  return cpu_of(RUSAGE_SELF);
}

double children_cpu_seconds() {
  return cpu_of(RUSAGE_CHILDREN);
}

double cpu_seconds_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')'); // the name may hold anything
  if (name_end == std::string::npos)
    give_up("no /proc/<pid>/stat of process " + std::to_string(process));
  std::istringstream fields(text.substr(name_end + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i)
    fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

} // namespace lance::bench
