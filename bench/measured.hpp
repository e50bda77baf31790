// What both measuring programs need: the steady clock, latencies kept one by one, CPU seconds.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lance::bench {

/// Ends the program with 1: a measurement that met something unexpected has no result.
[[noreturn]] void give_up(const std::string& why);
/// The same, with the text of errno.
[[noreturn]] void give_up_errno(const std::string& deed);

[[nodiscard]] std::uint64_t now_ns() noexcept;
/// Sleeps until the steady clock shows it.
void sleep_until_ns(std::uint64_t when);

/// Every single latency, so that percentiles are exact. Memory is taken and touched at the start;
/// what comes beyond its bound (4 million: 16 MiB, more than any round here has) is counted out.
class latencies {
 public:
  explicit latencies(std::size_t most = std::size_t{4} << 20);
  void add(std::uint64_t ns) noexcept;
  void merge(const latencies& other);
  /// count, left_out, and p50, p99, p99.9 and the largest in microseconds. Sorts.
  [[nodiscard]] nlohmann::json summary();

 private:
  std::vector<std::uint32_t> taken_; // ns, at most 4.29 s
  std::size_t count_ = 0;
  std::uint64_t left_out_ = 0;
};

/// User and system time of this process, all threads; of its ended children when asked.
[[nodiscard]] double own_cpu_seconds();
[[nodiscard]] double children_cpu_seconds();
/// utime + stime of another process, as /proc/<pid>/stat has it: in steps of 10 ms.
[[nodiscard]] double cpu_seconds_of(pid_t process);

} // namespace lance::bench
