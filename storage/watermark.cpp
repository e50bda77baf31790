#include "storage/watermark.hpp"

#include <algorithm>

namespace lance::storage {

std::string_view name_of(disk_level level) noexcept {
  switch (level) {
  case disk_level::ok:
    return "ok";
  case disk_level::warn:
    return "warn";
  case disk_level::stop_writes:
    break;
  }
  return "stop_writes";
}

void watermark::disk_was_full(bool accepted) noexcept {
  met_full_ = true;
  accepted_waits_ = accepted_waits_ || accepted;
}

watermark_verdict watermark::sample(const disk_space& now, bool ballast_held,
                                    std::uint64_t now_ns) noexcept {
  const auto owed = ballast_held ? 0 : std::min(limits_.ballast_bytes, now.free_bytes);
  const auto spendable = now.free_bytes - owed;
  used_share_ = now.total_bytes == 0
                    ? 0.0
                    : 1.0 - static_cast<double>(spendable) / static_cast<double>(now.total_bytes);
  short_of_room_ = (short_of_room_ || met_full_) && spendable < limits_.room_bytes;
  met_full_ = false;

  watermark_verdict verdict;
  verdict.level = short_of_room_ ? disk_level::stop_writes : judge(used_share_);
  verdict.changed = verdict.level != level_;
  level_ = verdict.level;

  const bool needed =
      accepted_waits_ || journal_blocked_ || now.free_bytes < bytes_to_release_at(now.total_bytes);
  accepted_waits_ = false;
  if (ballast_held && needed)
    verdict.ballast = ballast_deed::release;
  else if (!ballast_held && !needed && limits_.ballast_bytes > 0 && owed == limits_.ballast_bytes &&
           level_ != disk_level::stop_writes)
    verdict.ballast = ballast_deed::make;

  if (!journal_blocked_ || ballast_held)
    blocked_since_ns_ = 0;
  else if (blocked_since_ns_ == 0)
    blocked_since_ns_ = now_ns;
  verdict.give_up = blocked_since_ns_ != 0 && now_ns - blocked_since_ns_ >= patience_ns;
  return verdict;
}

disk_level watermark::judge(double used) const noexcept {
  // From the level above, a mark counts as passed until the share is well below it.
  const auto passed = [&](double mark, disk_level above) {
    const auto slack = std::min(margin, (limits_.stop_writes - limits_.warn) / 2);
    return used >= (level_ >= above ? mark - slack : mark);
  };
  if (passed(limits_.stop_writes, disk_level::stop_writes))
    return disk_level::stop_writes;
  return passed(limits_.warn, disk_level::warn) ? disk_level::warn : disk_level::ok;
}

// Halfway between the mark that stops producers and a disk with nothing left.
std::uint64_t watermark::bytes_to_release_at(std::uint64_t total) const noexcept {
  const auto half = static_cast<double>(total) * (1.0 - limits_.stop_writes) / 2;
  return std::min(least_free_bytes, static_cast<std::uint64_t>(half));
}

} // namespace lance::storage
