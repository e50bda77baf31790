// What an operator may change while the node runs: the log's level and the quotas, through
// POST /admin/config. All of one request or nothing; the next start goes by the configuration
// again.
//
// Any thread (HTTP has several).
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/access_book.hpp"
#include "actors/quota_book.hpp"
#include "config/load.hpp"
#include "runtime/clock.hpp"

namespace lance::actors {

[[nodiscard]] quota_limits quota_limits_of(const config::quota_section& quota);

class live_settings {
 public:
  /// All outlive it. `http_on_loopback`: nobody but this machine's people reach the HTTP port.
  live_settings(const config::loaded& loaded, const access_source& access, quota_book& quotas,
                const runtime::clock& clock, bool http_on_loopback)
      : loaded_(loaded), access_(access), quotas_(quotas), clock_(clock),
        http_on_loopback_(http_on_loopback) {}

  /// Whether the bearer of this `Authorization` header may see (`changes`: change) the
  /// configuration: 200; 401 or 403 and a sentence in `why`. With authentication a token is
  /// asked for, and to change something the right of administration on all topics; without it
  /// changes come from this machine only. `who` is set for the audit.
  [[nodiscard]] int admit(std::string_view authorization, bool changes, std::string& who,
                          std::string& why) const;

  /// Paths of keys and their texts, units allowed. Empty: all are in force, and in the log with
  /// `who`. Else nothing has changed, and this is what is wrong.
  [[nodiscard]] std::string change(const std::vector<std::pair<std::string, std::string>>& wanted,
                                   const std::string& who);

  /// The effective values with their origins, as --print-config has them.
  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex guard_;
  config::loaded loaded_;
  const access_source& access_;
  quota_book& quotas_;
  const runtime::clock& clock_;
  const bool http_on_loopback_;
};

} // namespace lance::actors
