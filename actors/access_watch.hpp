// Keeps tokens and access rules fresh: reads their files at start, and again when they have
// changed. What cannot be used changes nothing: the old ones stay, a line in the log and a counter
// say so.
//
// One thread (the main one).
#pragma once

#include <array>
#include <memory>
#include <string>

#include "actors/access_book.hpp"
#include "actors/file_stamp.hpp"
#include "config/config.hpp"
#include "runtime/metrics.hpp"
#include "runtime/result.hpp"
#include "storage/file.hpp"

namespace lance::actors {

class access_watch {
 public:
  /// Reads tokens and rules for the first time. Errors: bad_config, with a sentence in `why` that
  /// names the key and the remedy: also for settings that look like protection and are none.
  static result<std::unique_ptr<access_watch>> make(storage::disk& door,
                                                    const config::auth_section& auth,
                                                    const config::tls_section& tls,
                                                    std::string& why);

  /// Looks whether the files have changed since they were last read (or, `forced`, takes them for
  /// changed). Blocks for reading small files.
  void look(bool forced, runtime::metric_set& metrics);

  [[nodiscard]] const access_source& source() const noexcept { return source_; }

 private:
  using stamps = std::array<file_stamp, 2>;
  access_watch(storage::disk& door, const config::auth_section& auth) : door_(door), auth_(auth) {}
  [[nodiscard]] stamps read_stamps() const;
  [[nodiscard]] result<access_book> read(std::string& why) const;

  storage::disk& door_;
  config::auth_section auth_;
  access_source source_;
  stamps seen_;
};

} // namespace lance::actors
