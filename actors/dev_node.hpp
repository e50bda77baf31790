// `lance dev`: a node to try things on. It lies in a directory of its own that goes with it, takes
// whatever ports are free on loopback, and says how to reach it in words a shell can take in.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "actors/system.hpp"
#include "runtime/result.hpp"

namespace lance::actors {

/// A directory that goes, with all that is in it, when this does.
class throwaway_directory {
 public:
  /// Below $TMPDIR, else /tmp. Errors: io_failed with errno.
  static result<throwaway_directory> make();
  throwaway_directory(throwaway_directory&& other) noexcept
      : path_(std::exchange(other.path_, {})) {}
  throwaway_directory& operator=(throwaway_directory&&) = delete;
  ~throwaway_directory() { remove(); }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  void remove() noexcept;

 private:
  explicit throwaway_directory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

using flag_values = std::vector<std::pair<std::string, std::string>>; ///< key path, text

/// What the operator gave, and before it what makes a node a throw-away one in `directory`. Data
/// directory and ready file are not the operator's to choose: `refusal` is then a sentence.
[[nodiscard]] flag_values flags_of_dev_node(const flag_values& given, const std::string& directory,
                                            std::string& refusal);

/// Comments for people, and the line that makes `lnc` talk to the node: `eval` takes all of it.
[[nodiscard]] std::string greeting_of_dev_node(const bound_addresses& at,
                                               const std::string& directory);

} // namespace lance::actors
