// The lines between simulated nodes: what arrives, when, and how often. Cut lines lose everything,
// others by chance; delays are drawn for each letter, so that letters overtake each other.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "tests/sim/cluster_faults.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/random_stream.hpp"

namespace lance::sim {

class sim_network {
 public:
  sim_network(std::size_t nodes, event_loop& loop, random_stream chance, cluster_counts& counted)
      : nodes_(nodes), lines_(nodes * nodes), loop_(loop), chance_(chance), counted_(counted) {}

  /// Calls `arrive` once, twice or never.
  void send(std::size_t from, std::size_t to, const std::function<void()>& arrive) {
    const auto& one = line(from, to);
    if (one.cut)
      return counted_.note(cluster_event::letter_cut);
    if (chance_.chance(loss))
      return counted_.note(cluster_event::letter_lost);
    loop_.after(delay(one), arrive);
    if (chance_.chance(repeat)) {
      counted_.note(cluster_event::letter_repeated);
      loop_.after(delay(one) + chance_.below(20 * delay_ns), arrive);
    }
  }
  void cut(std::size_t from, std::size_t to) { line(from, to).cut = from != to; }
  void slow(std::size_t from, std::size_t to, std::uint64_t by_ns) {
    line(from, to).slow_ns = by_ns;
  }
  void heal() {
    for (auto& one : lines_)
      one = {};
  }
  [[nodiscard]] std::size_t nodes() const noexcept { return nodes_; }

  std::uint64_t loss = 0;   ///< per million
  std::uint64_t repeat = 0; ///< per million
  std::uint64_t delay_ns = 500 * us_in_ns;

 private:
  struct line_state {
    bool cut = false;
    std::uint64_t slow_ns = 0;
  };
  line_state& line(std::size_t from, std::size_t to) { return lines_[from * nodes_ + to]; }
  std::uint64_t delay(const line_state& one) {
    return 20 * us_in_ns + chance_.below(delay_ns) + one.slow_ns;
  }

  std::size_t nodes_;
  std::vector<line_state> lines_;
  event_loop& loop_;
  random_stream chance_;
  cluster_counts& counted_;
};

} // namespace lance::sim
