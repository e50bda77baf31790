#include "actors/dev_node.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace lance::actors {

result<throwaway_directory> throwaway_directory::make() {
  const char* const chosen = std::getenv("TMPDIR");
  std::string pattern =
      std::string{chosen != nullptr && *chosen != '\0' ? chosen : "/tmp"} + "/lance-dev-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr)
    return fail(errc::io_failed, errno);
  return throwaway_directory{std::move(pattern)};
}

void throwaway_directory::remove() noexcept {
  if (path_.empty())
    return;
  std::error_code left_behind; // below /tmp, where others clean up
  std::filesystem::remove_all(std::exchange(path_, {}), left_behind);
}

flag_values flags_of_dev_node(const flag_values& given, const std::string& directory,
                              std::string& refusal) {
  constexpr std::string_view loopback = "127.0.0.1:0";
  flag_values all{{"network.bind", std::string{loopback}},
                  {"http.bind", std::string{loopback}},
                  {"metrics.bind", std::string{loopback}},
                  {"log.level", "warning"}};
  for (const auto& [key, text] : given) {
    if (key == "node.data_dir")
      refusal = "dev makes a directory of its own and removes it; for another one leave dev out";
    std::erase_if(all, [&](const auto& each) { return each.first == key; });
    all.emplace_back(key, text);
  }
  all.emplace_back("node.data_dir", directory + "/data");
  return all;
}

std::string greeting_of_dev_node(const bound_addresses& at, const std::string& directory) {
  std::string text = "# a throw-away node; Ctrl-C ends it and removes " + directory + '\n';
  text += "# clients  " + at.lwp + '\n';
  if (!at.http.empty())
    text += "# health   http://" + at.http + "/health\n";
  if (!at.metrics.empty())
    text += "# metrics  http://" + at.metrics + "/metrics\n";
  return text + "export LANCE_SERVER=" + at.lwp + '\n';
}

} // namespace lance::actors
