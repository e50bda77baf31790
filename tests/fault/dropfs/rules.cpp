#include "tests/fault/dropfs/rules.hpp"

#include <cerrno>
#include <chrono>

#include <fnmatch.h>

namespace lance::fault {

void rules::add(rule what) {
  const std::lock_guard guard{mutex_};
  list_.push_back(std::move(what));
}

void rules::clear() {
  const std::lock_guard guard{mutex_};
  list_.clear();
  ++generation_;
  changed_.notify_all();
}

void rules::die() {
  const std::lock_guard guard{mutex_};
  dead_ = true;
  ++generation_;
  changed_.notify_all();
}

void rules::revive() {
  const std::lock_guard guard{mutex_};
  dead_ = false;
}

int rules::judge(const std::string& operation, const std::string& path) {
  std::unique_lock guard{mutex_};
  ++asked_[operation];
  if (dead_)
    return EIO;
  int error = 0;
  std::uint64_t delay_us = 0;
  for (auto& each : list_) {
    if ((each.operation != "*" && each.operation != operation) ||
        ::fnmatch(each.pattern.c_str(), path.c_str(), 0) != 0)
      continue;
    if (++each.matches <= each.skip || (each.times > 0 && each.hits == each.times))
      continue;
    ++each.hits;
    if (each.error == 0) {
      delay_us += each.delay_us;
      continue;
    }
    error = each.error;
    break;
  }
  if (delay_us > 0) {
    const auto mine = generation_;
    changed_.wait_for(guard, std::chrono::microseconds{delay_us},
                      [&] { return generation_ != mine; });
  }
  return dead_ ? EIO : error;
}

std::string rules::report() {
  const std::lock_guard guard{mutex_};
  std::string text;
  for (const auto& [operation, count] : asked_)
    text += "asked " + operation + " " + std::to_string(count) + "\n";
  for (const auto& each : list_)
    text += "rule " + each.operation + " " + each.pattern + " " + std::to_string(each.hits) + "\n";
  return text;
}

} // namespace lance::fault
