// What the probes answer: facts about this process, set by whoever knows them, read by HTTP.
#pragma once

#include <atomic>
#include <cstdint>

namespace lance::actors {

/// Any thread; no order between the members is promised. Lives as long as the process serves HTTP.
struct health {
  /// False only when the process should be restarted; never depends on recovery.
  std::atomic<bool> alive{true};
  /// Recovery is done and the listener is open. A full disk changes nothing: reads go on.
  std::atomic<bool> data_plane_ready{false};
  /// False while the node's own log is fenced or damaged: topics cannot change then.
  std::atomic<bool> journal_writable{true};
  /// Always true standalone.
  std::atomic<bool> coordinator_ready{false};
  /// Becomes true once, when every log is open; the listener is then, too. Reads of logs that are
  /// open are served before.
  std::atomic<bool> startup_complete{false};
  /// Set by a drain: the node is leaving, whatever else holds.
  std::atomic<bool> draining{false};
  /// The operator's switch: DELETE /admin/ready clears it, POST sets it.
  std::atomic<bool> wanted{true};

  /// How far recovery has come, shown while starting. A total of 0: not known yet.
  std::atomic<std::uint64_t> logs_recovered{0};
  std::atomic<std::uint64_t> logs_to_recover{0};

  /// What the probes call data_plane_ready.
  [[nodiscard]] bool data_plane() const noexcept { return data_plane_ready && journal_writable; }
  [[nodiscard]] bool ready() const noexcept {
    return data_plane() && coordinator_ready && wanted && !draining;
  }
};

} // namespace lance::actors
