// The simulator's command line: histories from many seeds, the proof that planted bugs are found,
// and one history told event by event.
//
//   lance_sim                       1,000 seeds, then every planted bug
//   lance_sim --seeds N [--plants]  the first N seeds, then the planted bugs if asked for
//   lance_sim --plants              the planted bugs alone
//   lance_sim --seed S [--trace]    one history, event by event
//   lance_sim --seed S --seeds N    N seeds from S on
//
// Exit code: 0 all promises kept, 1 one was broken or a proof failed, 2 wrong usage. In a build
// with -DLANCE_PLANT=n that bug is in from the start, and is to be found: exit code 1.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/log.hpp"
#include "runtime/plant.hpp"
#include "tests/sim/plants.hpp"
#include "tests/sim/world.hpp"

namespace {

using namespace lance::sim;
using lance::runtime::plant;

struct arguments {
  std::uint64_t first = 1;
  std::uint64_t seeds = 0; // histories to run and judge together
  bool one = false;        // only the first, by itself
  bool plants = false;
  bool trace = false;
};

constexpr std::uint64_t full_seeds = 1000;
// Below, what happens seldom may not have happened at all: nothing is said about it.
constexpr std::uint64_t judged_seeds = 50;

// Seeds a planted bug may take before the checkers are called blind.
constexpr std::uint64_t seeds_per_plant = 400;

std::uint64_t seed_now = 0;

// A broken promise of the product's own ends the process: say how to see it again.
void tell_seed(int) {
  char line[64];
  const int size = std::snprintf(line, sizeof line, "\nreplay: ./dev sim --seed %llu\n",
                                 static_cast<unsigned long long>(seed_now));
  (void)!::write(STDERR_FILENO, line, static_cast<std::size_t>(size));
  std::signal(SIGABRT, SIG_DFL);
}

struct totals {
  std::uint64_t seeds = 0, events = 0, crashes = 0, acknowledged = 0, resent = 0, read_bytes = 0,
                dropped = 0, recycled = 0, simulated_ns = 0;
  fault_counts faults;

  void add(const run_report& one) {
    ++seeds;
    events += one.events;
    crashes += one.crashes;
    acknowledged += one.acknowledged;
    resent += one.resent;
    read_bytes += one.read_bytes;
    dropped += one.dropped;
    recycled += one.recycled;
    simulated_ns += one.simulated_ns;
    faults.add(one.faults);
  }
};

unsigned long long shown(std::uint64_t value) {
  return value;
}

void print(const totals& sum, double seconds) {
  std::printf("%llu seeds, %llu crashes, %.0f s simulated in %.0f s\n", shown(sum.seeds),
              shown(sum.crashes), static_cast<double>(sum.simulated_ns) / 1e9, seconds);
  std::printf("%llu batches acknowledged, %llu sent again, %llu MiB read back, %llu events\n",
              shown(sum.acknowledged), shown(sum.resent), shown(sum.read_bytes >> 20),
              shown(sum.events));
  std::printf("%llu segments dropped, files of %llu of them used again\n\n", shown(sum.dropped),
              shown(sum.recycled));
  for (std::size_t i = 0; i < fault_kinds; ++i)
    std::printf("  %-22s %10llu\n", std::string{fault_names[i]}.c_str(),
                shown(sum.faults.of(static_cast<fault>(i))));
  std::printf("\n");
}

bool tell_violation(const run_report& one) {
  if (one.violation.empty())
    return false;
  std::printf("replay: ./dev sim --seed %llu\n", shown(one.seed));
  std::printf("broken: %s\n", one.violation.c_str());
  return true;
}

// A simulator in which nothing goes wrong proves nothing.
bool vacuous(const totals& sum) {
  if (sum.seeds < judged_seeds)
    return false;
  const auto least = std::min<std::uint64_t>(100, sum.seeds / 10);
  bool any = false;
  for (std::size_t i = 0; i < fault_kinds; ++i)
    if (sum.faults.of(static_cast<fault>(i)) < least) {
      std::printf("too seldom: %s, wanted %llu times\n", std::string{fault_names[i]}.c_str(),
                  shown(least));
      any = true;
    }
  const auto enough = [&](const char* what, std::uint64_t got, std::uint64_t wanted) {
    if (got >= wanted)
      return;
    std::printf("too seldom: %s, %llu instead of %llu\n", what, shown(got), shown(wanted));
    any = true;
  };
  enough("crashes", sum.crashes, 10 * sum.seeds);
  enough("batches acknowledged", sum.acknowledged, 100 * sum.seeds);
  enough("batches sent again", sum.resent, sum.seeds);
  enough("segments dropped", sum.dropped, 5 * sum.seeds);
  enough("files used again", sum.recycled, sum.seeds / 2);
  enough("KiB read back", sum.read_bytes >> 10, 500 * sum.seeds);
  return any;
}

bool run_many(const arguments& given) {
  totals sum;
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < given.seeds; ++i) {
    seed_now = given.first + i;
    const auto one = run_seed(seed_now);
    sum.add(one);
    if (tell_violation(one))
      return false;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  print(sum, took.count());
  if (vacuous(sum))
    return false;
  std::printf("no promise was broken\n");
  return true;
}

bool run_one(const arguments& given) {
  seed_now = given.first;
  const auto one = run_seed(given.first, given.trace);
  if (tell_violation(one))
    return false;
  std::printf("seed %llu: %llu events, trace %016llx, %llu crashes, no promise was broken\n",
              shown(one.seed), shown(one.events), shown(one.hash), shown(one.crashes));
  return true;
}

// The same seed is the same run, and another seed is another.
bool same_again(std::uint64_t first) {
  for (auto seed = first; seed < first + 3; ++seed) {
    const auto once = run_seed(seed);
    const auto again = run_seed(seed);
    if (once.hash == again.hash && once.events == again.events &&
        run_seed(seed + 1).hash != once.hash)
      continue;
    std::printf("replay: ./dev sim --seed %llu\n", shown(seed));
    std::printf("broken: seed %llu makes trace %016llx and trace %016llx\n", shown(seed),
                shown(once.hash), shown(again.hash));
    return false;
  }
  std::printf("the same seed made the same trace, bit for bit\n");
  return true;
}

// In a process of its own: a planted bug may run into a check of the product itself, which is a way
// of being found too. What found it, or nothing.
std::string found_with(plant which, std::uint64_t seed) {
  int ends[2];
  if (::pipe(ends) != 0)
    return {};
  std::fflush(nullptr);
  const auto child = ::fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    (void)!std::freopen("/dev/null", "w", stderr);
    lance::runtime::planted_now = which;
    const auto one = run_seed(seed);
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
  std::size_t found = 0;
  constexpr auto last = static_cast<std::size_t>(lance::runtime::first_cluster_plant);
  for (std::size_t i = 1; i < last; ++i) {
    std::uint64_t taken = 0;
    std::string how;
    while (taken < seeds_per_plant && how.empty())
      how = found_with(static_cast<plant>(i), given.first + taken++);
    std::printf("%-26s %6llu  %s\n", std::string{plant_names[i]}.c_str(), shown(taken),
                how.empty() ? "NOBODY" : how.c_str());
    found += how.empty() ? 0 : 1;
  }
  std::printf("%zu of %zu planted bugs found\n", found, last - 1);
  return found == last - 1;
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
    } else if (word == "--seeds" || word == "--seed") {
      const auto value = number();
      if (!value || *value == 0)
        return std::nullopt;
      (word == "--seed" ? given.first : given.seeds) = *value;
      given.one = given.one || word == "--seed";
    } else {
      return std::nullopt;
    }
  }
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
    std::fprintf(stderr, "usage: lance_sim [--seeds N] [--seed S] [--plants] | --seed S --trace\n");
    return 2;
  }
  std::signal(SIGABRT, tell_seed);
  lance::runtime::configure_log(lance::runtime::log_level::off, lance::runtime::log_format::text);
  if (lance::runtime::planted_now != plant::none)
    std::printf(
        "this build has the bug %s\n",
        std::string{plant_names.at(static_cast<std::size_t>(lance::runtime::planted_now))}.c_str());
  if (given->one)
    return run_one(*given) ? 0 : 1;
  bool good = given->seeds == 0 || (same_again(given->first) && run_many(*given));
  if (good && given->plants)
    good = run_planted(*given);
  return good ? 0 : 1;
}
