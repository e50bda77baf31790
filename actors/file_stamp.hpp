// What tells a changed file from an unchanged one without reading it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lance::actors {

/// A file that is not there has the stamp of nothing. Links are followed: platforms that mount
/// secrets swap a link.
struct file_stamp {
  std::filesystem::file_time_type time{};
  std::uintmax_t size = 0;
  friend bool operator==(const file_stamp&, const file_stamp&) = default;

  [[nodiscard]] static file_stamp of(const std::string& path) {
    file_stamp made;
    std::error_code fault;
    const auto time = std::filesystem::last_write_time(path, fault);
    if (path.empty() || fault)
      return made;
    made.time = time;
    made.size = std::filesystem::file_size(path, fault);
    return made;
  }
};

} // namespace lance::actors
