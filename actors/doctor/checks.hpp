// The judgement of each check: from facts to a finding. Pure, and one function per check, so that
// tests put every check into each of its states.
#pragma once

#include <span>
#include <vector>

#include "actors/doctor/facts.hpp"
#include "actors/doctor/finding.hpp"

namespace lance::actors::doctor {

using check = finding (*)(const facts&);

// checks_system.cpp: the kernel and what it grants this process
finding check_configuration(const facts& known);
finding check_kernel(const facts& known);
finding check_io_uring(const facts& known);
finding check_seccomp(const facts& known);
finding check_locked_memory(const facts& known);
finding check_open_files(const facts& known);
finding check_huge_pages(const facts& known);
finding check_clock(const facts& known);
finding check_clock_source(const facts& known);
// checks_cpu.cpp: processors, memory nodes, limits of the control group
finding check_placement(const facts& known);
finding check_cpu_frequency(const facts& known);
finding check_numa(const facts& known);
finding check_interrupts(const facts& known);
finding check_cpu_limit(const facts& known);
finding check_memory_limit(const facts& known);
// checks_disk.cpp: where the data lies
finding check_data_directory(const facts& known);
finding check_direct_io(const facts& known);
finding check_flush(const facts& known);
finding check_disk_space(const facts& known);
// checks_network.cpp: who can reach us, and who may
finding check_ports(const facts& known);
finding check_backlog(const facts& known);
finding check_tls(const facts& known);
finding check_access(const facts& known);
finding check_exposure(const facts& known);

/// All of them, in the order they are told.
[[nodiscard]] std::span<const check> all_checks() noexcept;
[[nodiscard]] std::vector<finding> judge(const facts& known);

} // namespace lance::actors::doctor
