// Watches the disk of the data directory: takes samples for storage::watermark, does what it says
// with the ballast, and shows both in metrics and log.
//
// First the main thread's, for the look before any log is opened; then upkeep_actor's. Blocks
// briefly.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/metrics.hpp"
#include "storage/ballast.hpp"
#include "storage/watermark.hpp"

namespace lance::actors {

class disk_watch {
 public:
  /// `door` outlives it; `metrics` is fed by whoever owns the watch.
  disk_watch(storage::disk& door, std::string data_dir, const storage::watermark_limits& limits,
             runtime::metric_set& metrics);

  storage::watermark_verdict look(std::uint64_t now_ns);
  /// What pollers and journal tell between looks.
  storage::watermark& machine() noexcept { return machine_; }
  [[nodiscard]] storage::disk_level level() const noexcept { return machine_.level(); }

 private:
  void carry_out(storage::ballast_deed deed, const storage::disk_space& now, std::uint64_t now_ns);
  void say_level(const storage::disk_space& now) const;

  storage::disk& door_;
  std::string data_dir_;
  storage::watermark machine_;
  storage::ballast ballast_;
  runtime::metric_set& metrics_;
  std::uint64_t next_try_ns_ = 0; // to make the ballast, after a try that failed
};

} // namespace lance::actors
