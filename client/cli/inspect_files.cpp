#include "client/cli/inspect_files.hpp"

#include <algorithm>
#include <filesystem>

#include "storage/layout.hpp"

namespace lance::client::cli {

namespace fs = std::filesystem;
namespace layout = storage::layout;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::vector<std::string> segments_at(const std::string& path) {
  std::error_code fault;
  if (!fs::is_directory(path, fault))
    return {path};
  std::vector<std::string> paths;
  for (auto entry =
           fs::recursive_directory_iterator{path, fs::directory_options::skip_permission_denied,
                                            fault};
       entry != fs::recursive_directory_iterator{}; entry.increment(fault))
    if (entry->path().extension() == ".lnc" && entry->is_regular_file(fault))
      paths.push_back(entry->path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

exit_code not_found(const context& shared, const std::string& path) {
  shared.complain(path + ": no such file or directory");
  return exit_code::not_found;
}

exit_code disk_trouble(const context& shared, const std::string& path, const error& what) {
  shared.complain(path + ": " + describe_error(what));
  return exit_code::failed;
}

std::string data_dir_of(storage::disk& door, const std::string& path) {
  const auto log = layout::parent(fs::absolute(path).lexically_normal().string());
  const auto home = layout::parent(layout::parent(layout::parent(log)));
  return door.exists(layout::join(home, layout::lock_name)) ? home : std::string{};
}

bool lock_data_dir(storage::disk& door, const std::string& path,
                   std::unique_ptr<storage::file_lock>& held) {
  const auto home = data_dir_of(door, path);
  if (home.empty())
    return true;
  auto taken = door.lock(layout::join(home, layout::lock_name));
  if (!taken)
    return false;
  held = std::move(*taken);
  return true;
}

exit_code broker_runs(const context& shared, const std::string& path) {
  shared.complain(path + ": a broker is running on this data directory");
  return exit_code::unavailable;
}

} // namespace lance::client::cli
