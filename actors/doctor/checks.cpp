#include "actors/doctor/checks.hpp"

#include <array>

namespace lance::actors::doctor {

std::span<const check> all_checks() noexcept {
  static constexpr std::array all{
      check_configuration, check_kernel,     check_io_uring,      check_seccomp,
      check_locked_memory, check_open_files, check_huge_pages,    check_clock,
      check_clock_source,  check_placement,  check_cpu_frequency, check_numa,
      check_interrupts,    check_cpu_limit,  check_memory_limit,  check_data_directory,
      check_direct_io,     check_flush,      check_disk_space,    check_ports,
      check_backlog,       check_tls,        check_access,        check_exposure};
  return all;
}

std::vector<finding> judge(const facts& known) {
  std::vector<finding> findings;
  for (const auto judgement : all_checks()) {
    auto found = judgement(known);
    if (found.is != status::warn && found.is != status::fail)
      found.fix.clear();
    findings.push_back(std::move(found));
  }
  return findings;
}

} // namespace lance::actors::doctor
