#include <charconv>
#include <cstring>

#include "actors/doctor/checks.hpp"

namespace lance::actors::doctor {

namespace {

/// "6.1.0-18-amd64" as 6 and 1; nothing when it does not begin with two numbers.
std::optional<std::pair<int, int>> version_of(const std::string& release) {
  int major = 0;
  int minor = 0;
  const auto* end = release.data() + release.size();
  const auto first = std::from_chars(release.data(), end, major);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.')
    return std::nullopt;
  if (std::from_chars(first.ptr + 1, end, minor).ec != std::errc{})
    return std::nullopt;
  return std::pair{major, minor};
}

std::string mib(std::uint64_t bytes) {
  return bytes == limit::unlimited ? "unlimited" : std::to_string(bytes / MiB) + " MiB";
}

std::string count(std::uint64_t value) {
  return value == limit::unlimited ? "unlimited" : std::to_string(value);
}

bool uring_wanted(const facts& known) {
  return known.wanted.values.io.backend != config::io_backend::pwritev;
}

std::string uring_remedy(const facts& known) {
  if (known.kernel.io_uring_disabled.value_or(0) != 0)
    return "sysctl -w kernel.io_uring_disabled=0";
  if (known.kernel.seccomp.value_or(0) != 0)
    return "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile "
           "(docker run --security-opt seccomp=PROFILE.json)";
  if (known.chosen.capabilities.refusal == ENOSYS)
    return "apt install linux-image-amd64  # a kernel with io_uring: 5.1, better 6.1";
  return "lance --print-config  # the fallback works; io.backend = \"pwritev\" chooses it";
}

} // namespace

finding check_configuration(const facts& known) {
  finding found{"configuration", status::ok, "the configuration is good",
                "A node starts only with a configuration it understands completely.",
                "lance --check"};
  const auto& wanted = known.wanted;
  if (!wanted.errors.empty()) {
    found.is = status::fail;
    found.what = std::to_string(wanted.errors.size()) + " errors, the first: " + wanted.errors[0];
  } else if (!wanted.notices.empty()) {
    found.is = status::warn;
    found.what =
        std::to_string(wanted.notices.size()) + " notices, the first: " + wanted.notices[0];
  }
  return found;
}

finding check_kernel(const facts& known) {
  finding found{"kernel", status::ok, "Linux " + known.kernel.release,
                "Accepting and receiving many times for one request came with Linux 5.19 and 6.0; "
                "before, each costs another entry into the kernel.",
                "apt install linux-image-amd64  # Debian 12 has 6.1"};
  const auto version = version_of(known.kernel.release);
  if (!version) {
    found.is = status::skip;
    found.what = "the kernel's version is not known";
  } else if (*version < std::pair{6, 0}) {
    found.is = status::warn;
    found.what += ": older than 6.0";
  }
  return found;
}

finding check_io_uring(const facts& known) {
  const auto& can = known.chosen.capabilities;
  finding found{"io_uring", status::ok,
                std::string{"io_uring works"} +
                    (can.multishot_receive ? ", with all that is used of it" : ""),
                "Without io_uring files and sockets cost a system call each, and an "
                "acknowledgement takes longer.",
                uring_remedy(known)};
  if (!uring_wanted(known)) {
    found.is = status::skip;
    found.what = "io.backend = \"pwritev\" leaves it unused";
  } else if (!can.available) {
    const bool forced = known.wanted.values.io.backend == config::io_backend::uring;
    found.is = forced ? status::fail : status::warn;
    found.what =
        std::string{"this process may not use io_uring ("} + std::strerror(can.refusal) +
        (forced ? "), and io.backend = \"uring\" insists on it" : "): system calls take its place");
  } else if (!known.kernel.missing_uring_operations.empty()) {
    found.is = status::warn;
    found.what = "io_uring lacks";
    for (const auto& name : known.kernel.missing_uring_operations)
      found.what += ' ' + name;
    found.fix = "apt install linux-image-amd64  # Debian 12 has 6.1";
  }
  return found;
}

finding check_seccomp(const facts& known) {
  finding found{"seccomp", status::ok, "no filter of system calls",
                "Container runtimes filter system calls, and many profiles forbid io_uring.",
                uring_remedy(known)};
  if (!known.kernel.seccomp) {
    found.is = status::skip;
    found.what = "not known: /proc/self/status does not say";
  } else if (*known.kernel.seccomp != 0) {
    const bool refused = uring_wanted(known) && !known.chosen.capabilities.available;
    found.is = refused ? status::warn : status::ok;
    found.what = refused ? "a filter of system calls is active, and io_uring is refused"
                         : "a filter of system calls is active and lets through what is needed";
  }
  return found;
}

finding check_locked_memory(const facts& known) {
  const auto needed = known.chosen.plan.memory.total;
  finding found{"locked_memory", status::ok, "buffers can be registered with the kernel",
                "Registered buffers save looking up their pages at every write; they count "
                "against the limit of locked memory.",
                "ulimit -l unlimited  # systemd: LimitMEMLOCK=infinity; docker: --ulimit "
                "memlock=-1"};
  const auto& can = known.chosen.capabilities;
  if (!uring_wanted(known) || !can.available) {
    found.is = status::skip;
    found.what = "without io_uring nothing is registered";
  } else if (!known.kernel.locked_memory) {
    found.is = status::skip;
    found.what = "not known: /proc/self/limits does not say";
  } else if (known.kernel.may_lock_memory) {
    found.what += ": CAP_IPC_LOCK lifts the limit";
  } else if (known.kernel.locked_memory->soft < needed || !can.registered_buffers) {
    found.is = status::warn;
    found.what = "the limit is " + mib(known.kernel.locked_memory->soft) + ", the buffers take " +
                 mib(needed) + ": they stay unregistered";
  } else {
    found.what += ": the limit is " + mib(known.kernel.locked_memory->soft);
  }
  return found;
}

finding check_open_files(const facts& known) {
  // Each connection is one; listeners, rings and the logs' segments and indexes take the rest.
  constexpr std::uint64_t for_files = 1024;
  constexpr std::uint64_t least = 128; // below, not even the internal logs can be opened
  const auto needed = known.wanted.values.network.max_connections + for_files;
  finding found{"open_files", status::ok, "",
                "Each connection and each open segment takes a descriptor; when they run out, "
                "clients are turned away and logs cannot roll.",
                "ulimit -n " + std::to_string(needed) +
                    "  # systemd: LimitNOFILE=" + std::to_string(needed)};
  if (!known.kernel.open_files) {
    found.is = status::skip;
    found.what = "not known: /proc/self/limits does not say";
    return found;
  }
  const auto soft = known.kernel.open_files->soft;
  found.what = "the limit is " + count(soft) + " descriptors; " +
               std::to_string(known.wanted.values.network.max_connections) +
               " connections and their logs want " + std::to_string(needed);
  if (soft < least)
    found.is = status::fail;
  else if (soft < needed)
    found.is = status::warn;
  return found;
}

finding check_huge_pages(const facts& known) {
  finding found{"huge_pages", status::ok, "transparent huge pages: " + known.kernel.huge_pages,
                "Buffers on huge pages need a five-hundredth of the address translations.",
                "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"};
  if (known.kernel.huge_pages.empty()) {
    found.is = status::skip;
    found.what = "this kernel has no transparent huge pages";
  } else if (known.kernel.huge_pages == "never") {
    found.is = status::warn;
  }
  return found;
}

finding check_clock(const facts& known) {
  constexpr std::uint64_t error_us_most = 100'000; // two nodes then differ by a fifth of a second
  finding found{"clock", status::ok, "",
                "Records are stamped with the wall clock: lookups by time, "
                "retention by age and certificates rely on it.",
                "timedatectl set-ntp true  # or: apt install chrony"};
  if (!known.clock.steady) {
    found.is = status::fail;
    found.what = "the monotonic clock goes backwards: every timer of the node is wrong";
    found.fix = "reboot with clocksource=hpet on the kernel's command line";
  } else if (!known.clock.synchronised) {
    found.is = status::skip;
    found.what =
        "the monotonic clock is steady; whether the wall clock is synchronised is not known";
  } else if (!*known.clock.synchronised) {
    found.is = status::warn;
    found.what = "the wall clock is not synchronised";
  } else {
    found.what = "synchronised, within " + std::to_string(known.clock.error_us_max / 1000) +
                 " ms; the monotonic clock is steady";
    if (known.clock.error_us_max > error_us_most)
      found.is = status::warn;
  }
  return found;
}

finding check_clock_source(const facts& known) {
  const auto& source = known.kernel.clock_source;
  finding found{"clock_source", status::ok, "time comes from " + source,
                "The time is asked for several times per batch; from slow sources each reading "
                "enters the kernel and takes a microsecond.",
                "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource"};
  if (source.empty()) {
    found.is = status::skip;
    found.what = "not known";
  } else if (source == "hpet" || source == "acpi_pm" || source == "jiffies" || source == "xen") {
    found.is = status::warn;
    found.what += ", a slow source";
  }
  return found;
}

} // namespace lance::actors::doctor
