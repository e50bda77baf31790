// What the commands of `lnc segment` share: finding files, telling what is wrong with them, and
// keeping a broker away while one is changed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/cli/context.hpp"
#include "storage/file.hpp"

namespace CLI {
class App;
}

namespace lance::client::cli {

[[nodiscard]] bool exists(const std::string& path);
/// The file itself, or every segment below the directory, in order.
[[nodiscard]] std::vector<std::string> segments_at(const std::string& path);

[[nodiscard]] exit_code not_found(const context& shared, const std::string& path);
[[nodiscard]] exit_code disk_trouble(const context& shared, const std::string& path,
                                     const error& what);

/// The data directory that the segment lies in; empty when it lies in none.
[[nodiscard]] std::string data_dir_of(storage::disk& door, const std::string& path);
/// Takes that directory's lock into `held`, when there is one to take. False: a broker has it.
[[nodiscard]] bool lock_data_dir(storage::disk& door, const std::string& path,
                                 std::unique_ptr<storage::file_lock>& held);
/// Says that a broker has it.
[[nodiscard]] exit_code broker_runs(const context& shared, const std::string& path);

void add_repair(CLI::App& segment, context& shared);
void add_diff(CLI::App& segment, context& shared);

} // namespace lance::client::cli
