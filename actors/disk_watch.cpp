#include "actors/disk_watch.hpp"

#include <utility>

#include "runtime/log.hpp"

namespace lance::actors {

using runtime::gauge;
using runtime::log_level;
using storage::ballast_deed;
using storage::disk_level;

namespace {

/// A ballast that could not be made is tried again after this long.
constexpr std::uint64_t try_again_ns = 60 * s_in_ns;

} // namespace

disk_watch::disk_watch(storage::disk& door, std::string data_dir,
                       const storage::watermark_limits& limits, runtime::metric_set& metrics)
    : door_(door), data_dir_(std::move(data_dir)), machine_(limits),
      ballast_(door, data_dir_, limits.ballast_bytes), metrics_(metrics) {}

storage::watermark_verdict disk_watch::look(std::uint64_t now_ns) {
  const auto now = door_.space(data_dir_);
  if (!now) {
    runtime::log(log_level::error, "disk_not_sampled", {{"error", describe_error(now.error())}});
    return {machine_.level(), false, ballast_deed::none, false};
  }
  const auto verdict = machine_.sample(*now, ballast_.held(), now_ns);
  if (verdict.changed)
    say_level(*now);
  carry_out(verdict.ballast, *now, now_ns);
  metrics_.set(gauge::disk_total_bytes, static_cast<double>(now->total_bytes));
  metrics_.set(gauge::disk_free_bytes, static_cast<double>(now->free_bytes));
  metrics_.set(gauge::disk_watermark, static_cast<double>(verdict.level));
  metrics_.set(gauge::ballast_bytes, static_cast<double>(ballast_.held_bytes()));
  return verdict;
}

void disk_watch::say_level(const storage::disk_space& now) const {
  const auto level = machine_.level();
  const auto severity = level == disk_level::ok     ? log_level::info
                        : level == disk_level::warn ? log_level::warning
                                                    : log_level::error;
  runtime::log(severity, "disk_watermark",
               {{"to", name_of(level)},
                {"free_bytes", now.free_bytes},
                {"total_bytes", now.total_bytes},
                {"remedy", level == disk_level::ok
                               ? ""
                               : "delete topics, lower their retention or enlarge the disk"}});
}

void disk_watch::carry_out(ballast_deed deed, const storage::disk_space& now,
                           std::uint64_t now_ns) {
  if (deed == ballast_deed::none || (deed == ballast_deed::make && now_ns < next_try_ns_))
    return;
  using runtime::log_name;
  const bool release = deed == ballast_deed::release;
  const auto done = release ? ballast_.release() : ballast_.make();
  if (!done) {
    next_try_ns_ = now_ns + try_again_ns;
    runtime::log(log_level::error,
                 release ? log_name{"ballast_not_released"} : log_name{"ballast_not_made"},
                 {{"error", describe_error(done.error())}});
    return;
  }
  runtime::log(release ? log_level::warning : log_level::info,
               release ? log_name{"ballast_released"} : log_name{"ballast_made"},
               {{"bytes_held", ballast_.held_bytes()}, {"free_bytes_before", now.free_bytes}});
}

} // namespace lance::actors
