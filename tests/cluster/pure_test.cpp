// The cores stay pure: what they include, and all that includes, knows no clock, thread, file,
// socket or actor. And they stay small.
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace {

const std::set<std::string> impure{
    "chrono", "ctime",   "time.h",   "thread",     "mutex",  "atomic", "condition_variable",
    "future", "fstream", "iostream", "filesystem", "cstdio", "random", "unistd.h",
    "fcntl.h"};
constexpr std::size_t lines_max = 600;

const std::filesystem::path root{LANCE_SOURCE_DIR};

void walk(const std::string& path, std::set<std::string>& seen, std::vector<std::string>& wrong) {
  if (!seen.insert(path).second)
    return;
  std::ifstream file{root / path};
  REQUIRE(file);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("#include"))
      continue;
    const auto from = line.find_first_of("\"<") + 1;
    const auto name = line.substr(from, line.find_first_of("\">", from) - from);
    if (line[from - 1] == '"')
      walk(name, seen, wrong);
    else if (impure.contains(name) || name.starts_with("caf/") || name.starts_with("sys/") ||
             name.starts_with("netinet/"))
      wrong.push_back(path + " includes <" + name + ">");
  }
}

} // namespace

TEST_CASE("the cores of replication are pure and small") {
  const std::vector<std::string> prefixes{"raft",       "replica_log", "replica_state",
                                          "replicator", "follower",    "quorum",
                                          "log_terms",  "membership",  "batch_copies"};
  std::set<std::string> seen;
  std::vector<std::string> wrong;
  std::size_t cores = 0;
  for (const auto& each : std::filesystem::directory_iterator{root / "cluster"}) {
    const auto name = each.path().filename().string();
    if (!std::ranges::any_of(prefixes, [&](const auto& one) { return name.starts_with(one); }))
      continue;
    ++cores;
    walk("cluster/" + name, seen, wrong);
    std::ifstream file{each.path()};
    std::size_t lines = 0;
    for (std::string line; std::getline(file, line);)
      ++lines;
    CHECK(lines <= lines_max);
  }
  CHECK(cores >= 17);
  CHECK(wrong == std::vector<std::string>{});
}
