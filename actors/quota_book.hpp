// Who has taken how much: byte rates per identity and per topic, connections per identity. One book
// per node, asked by every network lane.
//
// Any thread; time is an argument. Bounded: at most `entries_max` names of a kind are told apart.
// Those that took nothing for a second are forgotten first; if that does not make room, the ones
// beyond the bound share one rate.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "runtime/token_bucket.hpp"

namespace lance::actors {

/// 0: unlimited.
struct quota_limits {
  std::uint64_t ingest_bytes_per_s = 0;       ///< of one identity; of a stranger's connection
  std::uint64_t fetch_bytes_per_s = 0;        ///< the same
  std::uint64_t topic_ingest_bytes_per_s = 0; ///< of all producers of a topic
  std::uint64_t topic_fetch_bytes_per_s = 0;  ///< of all its readers
  std::uint64_t connections = 0;              ///< of one identity at a time
  friend bool operator==(const quota_limits&, const quota_limits&) = default;
};

class quota_book {
 public:
  enum class way : std::uint8_t { ingest, fetch };

  explicit quota_book(const quota_limits& limits = {}, std::size_t entries_max = 65'536)
      : entries_max_(entries_max) {
    set(limits, 0);
  }

  /// Takes effect at once; debts stay.
  void set(const quota_limits& limits, std::uint64_t now_ns);
  [[nodiscard]] quota_limits limits() const;
  /// False: nobody has to be asked. Cheap.
  [[nodiscard]] bool limits(way which) const noexcept {
    return limited_[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
  }

  /// How long `who` has to wait for this topic; 0: not at all.
  [[nodiscard]] std::uint64_t wait_ns(way which, const std::string& who, std::uint32_t topic,
                                      std::uint64_t now_ns);
  /// Counts `bytes` for both. Debt is allowed: wait_ns() tells of it.
  void take(way which, const std::string& who, std::uint32_t topic, std::uint64_t bytes,
            std::uint64_t now_ns);

  /// One more connection of this identity. False: it has as many as it may; nothing is counted.
  [[nodiscard]] bool join(const std::string& identity);
  void leave(const std::string& identity);

 private:
  template <class Key>
  struct side {
    std::uint64_t rate = 0;
    std::unordered_map<Key, runtime::token_bucket> buckets;
    runtime::token_bucket others; ///< of those for whom there is no room
  };
  struct both {
    side<std::string> identities;
    side<std::uint32_t> topics;
  };

  template <class Key>
  runtime::token_bucket& bucket(side<Key>& of, const Key& key, std::uint64_t now_ns);
  template <class Key>
  static void set(side<Key>& of, std::uint64_t rate, std::uint64_t now_ns);

  const std::size_t entries_max_;
  mutable std::mutex guard_;
  quota_limits limits_;
  both ways_[2];
  std::atomic<bool> limited_[2] = {};
  std::unordered_map<std::string, std::uint64_t> connections_;
};

} // namespace lance::actors
