// The command line of the simulated cluster: histories from many seeds, the proof that planted bugs
// are found, and one history told event by event.
//
//   lance_cluster_sim                       1,000 seeds, then every planted bug of replication
//   lance_cluster_sim --seeds N [--plants]  the first N seeds, then the planted bugs if asked for
//   lance_cluster_sim --plants              the planted bugs alone
//   lance_cluster_sim --seed S [--trace]    one history, event by event
//   lance_cluster_sim --seed S --seeds N    N seeds from S on
//   lance_cluster_sim --plant P ...         with bug number P of runtime/plant.hpp in it
//
// Exit code: 0 all promises kept, 1 one was broken or a proof failed, 2 wrong usage.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/log.hpp"
#include "runtime/plant.hpp"
#include "tests/sim/cluster_world.hpp"
#include "tests/sim/plants.hpp"

namespace {

using namespace lance::sim;
using lance::runtime::plant;

struct arguments {
  std::uint64_t first = 1;
  std::uint64_t seeds = 0;
  std::uint64_t plant = 0;
  std::uint64_t hours = 0;   // of simulated time, over all seeds
  std::uint64_t span_ms = 0; // of one history
  bool disks = false;        // all histories with disks
  bool one = false;
  bool plants = false;
  bool trace = false;
};

constexpr std::uint64_t full_seeds = 1000;
// Below, what happens seldom may not have happened at all: nothing is said about it.
constexpr std::uint64_t judged_seeds = 100;
// Seeds a planted bug may take before the checkers are called blind.
constexpr std::uint64_t seeds_per_plant = 4000;

// Every so manieth history has storage under its cores: it takes as long as thirty others.
constexpr std::uint64_t disks_each = 8;

cluster_run now;

unsigned long long shown(std::uint64_t value) {
  return value;
}

// A broken promise of the product's own ends the process: say how to see it again.
void tell_seed(int) {
  char line[96];
  const int size =
      std::snprintf(line, sizeof line, "\nreplay: lance_cluster_sim --seed %llu%s --span-ms %llu\n",
                    shown(now.seed), now.disks ? " --disks" : "", shown(now.span_ns / 1'000'000));
  (void)!::write(STDERR_FILENO, line, static_cast<std::size_t>(size));
  std::signal(SIGABRT, SIG_DFL);
}

cluster_run how_to_run(const arguments& given, std::uint64_t seed) {
  cluster_run how;
  how.seed = seed;
  how.disks = given.disks || (seed % disks_each == 0 && !given.one);
  // Only models run for long: storage shows what it has to within seconds.
  how.span_ns = how.disks ? 0 : given.span_ms * 1'000'000;
  if (given.hours > 0 && given.seeds > 0 && !how.disks)
    how.span_ns = given.hours * 3600 * 1'000'000'000 / given.seeds;
  how.span_ns -= how.span_ns % 1'000'000; // as it is printed
  now = how;
  return how;
}

bool tell_violation(const cluster_report& one) {
  if (one.violation.empty())
    return false;
  std::printf("replay: lance_cluster_sim --seed %llu%s --span-ms %llu\n", shown(one.seed),
              now.disks ? " --disks" : "", shown(now.span_ns / 1'000'000));
  std::printf("broken: %s\n", one.violation.c_str());
  return true;
}

bool run_many(const arguments& given) {
  cluster_counts counts;
  fault_counts disks;
  std::uint64_t events = 0, committed = 0, simulated_ns = 0;
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < given.seeds; ++i) {
    const auto one = run_cluster(how_to_run(given, given.first + i));
    counts.add(one.counts);
    disks.add(one.disk_faults);
    events += one.events;
    committed += one.committed;
    simulated_ns += one.simulated_ns;
    if (tell_violation(one))
      return false;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  const auto simulated_s = static_cast<double>(simulated_ns) / 1e9;
  std::printf("%llu seeds, %.0f s (%.1f hours) simulated in %.0f s, %.0f times as fast\n"
              "%llu events, %llu batches committed\n\n",
              shown(given.seeds), simulated_s, simulated_s / 3600, took.count(),
              simulated_s / took.count(), shown(events), shown(committed));
  bool enough = true;
  for (std::size_t i = 0; i < cluster_event_kinds; ++i) {
    const auto times = counts.of(static_cast<cluster_event>(i));
    std::printf("  %-22s %10llu\n", std::string{cluster_event_names[i]}.c_str(), shown(times));
    // A simulator in which nothing happens proves nothing.
    const bool of_models = i == static_cast<std::size_t>(cluster_event::batches_lost) ||
                           i == static_cast<std::size_t>(cluster_event::fetch_failed);
    if (given.seeds >= judged_seeds && !(of_models && given.disks) &&
        times < std::min<std::uint64_t>(100, given.seeds / 10)) {
      std::printf("too seldom: %s\n", std::string{cluster_event_names[i]}.c_str());
      enough = false;
    }
  }
  std::printf("\non their disks\n");
  for (std::size_t i = 0; i < fault_kinds; ++i)
    if (const auto times = disks.of(static_cast<fault>(i)); times > 0)
      std::printf("  %-22s %10llu\n", std::string{fault_names[i]}.c_str(), shown(times));
  if (given.seeds >= judged_seeds && committed < 100 * given.seeds) {
    std::printf("too few batches were committed\n");
    enough = false;
  }
  if (enough)
    std::printf("\nno promise was broken\n");
  return enough;
}

bool run_one(const arguments& given) {
  auto how = how_to_run(given, given.first);
  how.print = given.trace;
  const auto one = run_cluster(how);
  if (tell_violation(one))
    return false;
  std::printf(
      "seed %llu: %llu events, trace %016llx, %llu batches committed, no promise was broken\n",
      shown(one.seed), shown(one.events), shown(one.hash), shown(one.committed));
  return true;
}

// The same seed is the same run, and another seed is another.
bool same_again(std::uint64_t first) {
  for (auto seed = first; seed < first + 3; ++seed) {
    const bool disks = seed == first;
    const auto once = run_cluster({.seed = seed, .disks = disks});
    const auto again = run_cluster({.seed = seed, .disks = disks});
    if (once.hash == again.hash && once.events == again.events &&
        run_cluster({.seed = seed + 1, .disks = disks}).hash != once.hash)
      continue;
    std::printf("broken: seed %llu makes trace %016llx and trace %016llx\n", shown(seed),
                shown(once.hash), shown(again.hash));
    return false;
  }
  std::printf("the same seed made the same trace, bit for bit\n");
  return true;
}

// In a process of its own: a planted bug may run into a check of the product itself, which is a way
// of being found too. What found it, or nothing.
std::string found_with(plant which, std::uint64_t seed, bool disks) {
  int ends[2];
  if (::pipe(ends) != 0)
    return {};
  std::fflush(nullptr);
  const auto child = ::fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    (void)!std::freopen("/dev/null", "w", stderr);
    lance::runtime::planted_now = which;
    const auto one = run_cluster({.seed = seed, .disks = disks});
    (void)!::write(ends[1], one.violation.data(), one.violation.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string told;
  char piece[256];
  for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof piece)) > 0;)
    told.append(piece, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  return WIFSIGNALED(status) ? "a check of the product itself, which ended the process" : told;
}

bool run_planted(const arguments& given) {
  std::printf("%-26s %6s  %s\n", "planted bug", "seeds", "found by");
  constexpr auto first = static_cast<std::size_t>(lance::runtime::first_cluster_plant);
  std::size_t found = 0;
  for (auto i = first; i < plant_kinds; ++i) {
    std::uint64_t taken = 0;
    std::string how;
    const bool disks =
        given.disks || i >= static_cast<std::size_t>(lance::runtime::first_replica_plant);
    while (taken < seeds_per_plant && how.empty())
      how = found_with(static_cast<plant>(i), given.first + taken++, disks);
    std::printf("%-26s %6llu  %s\n", std::string{plant_names[i]}.c_str(), shown(taken),
                how.empty() ? "NOBODY" : how.c_str());
    std::fflush(stdout);
    found += how.empty() ? 0 : 1;
  }
  std::printf("%zu of %zu planted bugs found\n", found, plant_kinds - first);
  return found == plant_kinds - first;
}

std::optional<arguments> parse(int count, char** words) {
  arguments given;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    const auto number = [&]() -> std::optional<std::uint64_t> {
      if (i + 1 == count)
        return std::nullopt;
      char* end = nullptr;
      const auto value = std::strtoull(words[++i], &end, 10);
      return *end == '\0' ? std::optional<std::uint64_t>{value} : std::nullopt;
    };
    if (word == "--plants") {
      given.plants = true;
    } else if (word == "--trace") {
      given.trace = true;
    } else if (word == "--disks") {
      given.disks = true;
    } else if (word == "--span-ms") {
      const auto value = number();
      if (!value)
        return std::nullopt;
      given.span_ms = *value;
    } else if (word == "--seeds" || word == "--seed" || word == "--plant" || word == "--hours") {
      const auto value = number();
      if (!value || *value == 0)
        return std::nullopt;
      (word == "--seed"    ? given.first
       : word == "--seeds" ? given.seeds
       : word == "--hours" ? given.hours
                           : given.plant) = *value;
      given.one = given.one || word == "--seed";
    } else {
      return std::nullopt;
    }
  }
  if (given.plant >= plant_kinds)
    return std::nullopt;
  if (count == 1) {
    given.seeds = full_seeds;
    given.plants = true;
  }
  given.one = given.one && given.seeds == 0 && !given.plants;
  if (given.trace && !given.one)
    return std::nullopt;
  return given;
}

} // namespace

int main(int count, char** words) {
  const auto given = parse(count, words);
  if (!given) {
    std::fprintf(stderr, "usage: lance_cluster_sim [--seeds N] [--hours H] [--seed S] [--disks] "
                         "[--plants] [--plant P] | --seed S [--disks] [--span-ms M] --trace\n");
    return 2;
  }
  std::signal(SIGABRT, tell_seed);
  // What goes wrong is meant to.
  lance::runtime::configure_log(given->trace ? lance::runtime::log_level::info
                                             : lance::runtime::log_level::off,
                                lance::runtime::log_format::text);
  lance::runtime::planted_now = static_cast<plant>(given->plant);
  if (given->one)
    return run_one(*given) ? 0 : 1;
  bool good = given->seeds == 0 || (same_again(given->first) && run_many(*given));
  if (good && given->plants)
    good = run_planted(*given);
  return good ? 0 : 1;
}
