// A bar on stderr that shows how far something long has come: on a terminal only, and not with
// --quiet. Redrawn a few times a second.
#pragma once

#include <cstdint>
#include <string>

#include "client/cli/context.hpp"

namespace lance::client::cli {

/// What is counted.
enum class progress_of : std::uint8_t { bytes, time_ns };

/// `label [#####     ]  50% 1.0 GiB of 2.0 GiB`, or `... 1 s of 2 s`.
[[nodiscard]] std::string progress_line(const std::string& label, std::uint64_t done,
                                        std::uint64_t total, progress_of what = progress_of::bytes);

class progress {
 public:
  progress(context& shared, std::string label, progress_of what = progress_of::bytes);
  ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  void show(std::uint64_t done, std::uint64_t total);
  /// Whether anybody sees it.
  [[nodiscard]] bool on() const noexcept { return on_; }
  /// Takes the bar away.
  void clear();

 private:
  context& shared_;
  std::string label_;
  progress_of what_;
  bool on_;
  bool drawn_ = false;
  std::uint64_t next_ns_ = 0;
};

} // namespace lance::client::cli
