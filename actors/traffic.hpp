// How much goes in and out per second, from counters that only grow. Plain; whoever looks brings
// the time.
#pragma once

#include <cstdint>

#include "runtime/types.hpp"

namespace lance::actors {

struct traffic_totals {
  std::uint64_t ingest_ops = 0;
  std::uint64_t ingest_bytes = 0;
  std::uint64_t read_ops = 0;
  std::uint64_t read_bytes = 0;
};

struct traffic_rates {
  double ingest_ops = 0;
  double ingest_bytes = 0;
  double read_ops = 0;
  double read_bytes = 0;
};

class traffic {
 public:
  /// Per second since the look before; zeros at the first look, and where no time has passed.
  traffic_rates look(const traffic_totals& now, std::uint64_t now_ns) noexcept {
    traffic_rates rates;
    if (seen_ns_ != 0 && now_ns > seen_ns_) {
      const auto seconds = static_cast<double>(now_ns - seen_ns_) / static_cast<double>(s_in_ns);
      const auto rate = [&](std::uint64_t traffic_totals::*total) {
        return static_cast<double>(now.*total - seen_.*total) / seconds;
      };
      rates = {rate(&traffic_totals::ingest_ops), rate(&traffic_totals::ingest_bytes),
               rate(&traffic_totals::read_ops), rate(&traffic_totals::read_bytes)};
    }
    seen_ = now;
    seen_ns_ = now_ns;
    return rates;
  }

 private:
  traffic_totals seen_;
  std::uint64_t seen_ns_ = 0;
};

} // namespace lance::actors
