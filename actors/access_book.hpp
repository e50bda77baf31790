// What the gate judges by: tokens and rules as they are at present. Replaced as a whole; who holds
// one goes on with it until it asks again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "cluster/access.hpp"
#include "cluster/credentials.hpp"

namespace lance::actors {

/// Unchanging; any thread.
struct access_book {
  bool enabled = false;    ///< false: nobody is asked who it is
  bool write_only = false; ///< reading is free for strangers
  cluster::credentials tokens;
  std::optional<cluster::access_rules> rules; ///< none: whoever is known may do everything
  std::uint64_t edition = 0;                  ///< another one with each replacement
  std::unordered_map<std::string, std::uint64_t> token_ends; ///< by identity; 0: never

  /// Whether an identity that was shown once still counts: its token is there and has not expired.
  /// Certificates are judged when they are shown.
  [[nodiscard]] bool counts(const std::string& identity, std::uint64_t now_s) const {
    if (!identity.starts_with("token:"))
      return true;
    const auto found = token_ends.find(identity);
    return found != token_ends.end() && (found->second == 0 || now_s < found->second);
  }
};

/// Any thread.
class access_source {
 public:
  access_source() : current_(std::make_shared<const access_book>()) {}

  [[nodiscard]] std::shared_ptr<const access_book> current() const {
    const std::scoped_lock lock{guard_};
    return current_;
  }
  /// Cheap; asked for every batch, so that a change is noticed at once.
  [[nodiscard]] std::uint64_t edition() const noexcept {
    return edition_.load(std::memory_order_acquire);
  }
  void replace(access_book next) {
    next.token_ends.clear();
    for (const auto& row : next.tokens.rows())
      next.token_ends.emplace("token:" + row.name, row.expires_s);
    const std::scoped_lock lock{guard_};
    next.edition = edition_.load(std::memory_order_relaxed) + 1;
    current_ = std::make_shared<const access_book>(std::move(next));
    edition_.store(current_->edition, std::memory_order_release);
  }

 private:
  mutable std::mutex guard_;
  std::shared_ptr<const access_book> current_;
  std::atomic<std::uint64_t> edition_{0};
};

} // namespace lance::actors
