// Which operation of dropfs fails, and which one takes how long. Rules are tried in the order they
// were made; the first that matches and is due decides. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace lance::fault {

struct rule {
  std::string operation; ///< read, write, fsync, fsyncdir, create, rename, ...; * for all
  std::string pattern;   ///< of the path below the mount, as a shell would match it; * for all
  int error = 0;         ///< the errno; 0: a delay
  std::uint64_t delay_us = 0;
  std::uint64_t skip = 0;  ///< the first so many matches go through
  std::uint64_t times = 0; ///< then so many are hit; 0: all
  std::uint64_t matches = 0;
  std::uint64_t hits = 0;
};

class rules {
 public:
  void add(rule what);
  /// Takes all rules away and wakes who waits.
  void clear();
  /// The power is off: everything fails with EIO, who waits is woken.
  void die();
  void revive();

  /// Asked by each operation before it is done; waits out the delays. 0, or the errno to fail with.
  int judge(const std::string& operation, const std::string& path);

  /// Lines for people and tests: how often each operation was asked for, and each rule hit.
  std::string report();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<rule> list_;
  std::map<std::string, std::uint64_t> asked_;
  std::uint64_t generation_ = 0; // of the rules: a new one ends the delays of the old
  bool dead_ = false;
};

} // namespace lance::fault
