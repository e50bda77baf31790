// The stories of tests/cluster/scripts: each line that is done must tell what stands below it.
// LANCE_RETELL=1 writes down what is told now; read the difference before it is kept.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "tests/cluster/story.hpp"

using namespace lance;

namespace {

// "> words" is done; the lines below it, up to an empty one, are what must be told. "#" and
// everything else between is for the reader.
struct told_story {
  std::string text;  // as it should be
  std::string heard; // as it is
  std::size_t lines = 0;
};

told_story tell(const std::filesystem::path& path) {
  told_story whole;
  std::ifstream file{path};
  story::cluster_story cluster;
  bool expected = false;
  for (std::string line; std::getline(file, line);) {
    whole.text += line + "\n";
    if (expected && !line.empty() && line[0] != '>')
      continue;
    expected = false;
    whole.heard += line + "\n";
    if (line.empty() || line[0] != '>')
      continue;
    ++whole.lines;
    const auto answer = cluster.perform(line.substr(1));
    whole.heard += answer;
    expected = true;
  }
  return whole;
}

} // namespace

TEST_CASE("stories of the cluster") {
  const std::filesystem::path folder = std::string{LANCE_SOURCE_DIR} + "/tests/cluster/scripts";
  std::vector<std::filesystem::path> paths;
  for (const auto& each : std::filesystem::directory_iterator{folder})
    if (each.path().extension() == ".txt")
      paths.push_back(each.path());
  std::ranges::sort(paths);
  REQUIRE(paths.size() >= 10);
  for (const auto& path : paths) {
    INFO(path);
    const auto whole = tell(path);
    CHECK(whole.lines > 3);
    CHECK(whole.heard.find("error:") == std::string::npos);
    if (std::getenv("LANCE_RETELL") != nullptr)
      std::ofstream{path} << whole.heard;
    else
      CHECK(whole.heard == whole.text);
  }
}
