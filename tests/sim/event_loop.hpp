// Simulated time: deeds in the order of their moments, those of one moment in the order they were
// asked for. One thread; nothing here waits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/clock.hpp"
#include "tests/sim/trace.hpp"

namespace lance::sim {

/// The simulated machine's clocks: the steady one goes with the events, the wall clock jumps.
class sim_clock final : public runtime::clock {
 public:
  [[nodiscard]] std::uint64_t wall_ns() const noexcept override { return steady_ns_ + offset_ns_; }
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return steady_ns_; }
  void go_to(std::uint64_t now) noexcept { steady_ns_ = now; }
  void jump(std::int64_t by) noexcept { offset_ns_ += static_cast<std::uint64_t>(by); }

 private:
  std::uint64_t steady_ns_ = 1;
  std::uint64_t offset_ns_ = 1'700'000'000'000'000'000;
};

class event_loop {
 public:
  using deed = std::function<void()>;

  explicit event_loop(trace& told) : told_(told) {}

  void after(std::uint64_t delay_ns, deed what) {
    queue_.push_back({clock.steady_ns() + delay_ns, ++asked_, std::move(what)});
    std::push_heap(queue_.begin(), queue_.end(), later{});
  }
  /// The next deed, with the clock at its moment; false when there is none.
  bool step() {
    if (queue_.empty())
      return false;
    std::pop_heap(queue_.begin(), queue_.end(), later{});
    auto next = std::move(queue_.back());
    queue_.pop_back();
    clock.go_to(next.at_ns);
    told_.now_ns = next.at_ns;
    next.what();
    return true;
  }
  [[nodiscard]] std::uint64_t now_ns() const noexcept { return clock.steady_ns(); }

  sim_clock clock;

 private:
  struct event {
    std::uint64_t at_ns;
    std::uint64_t asked;
    deed what;
  };
  struct later {
    bool operator()(const event& a, const event& b) const noexcept {
      return a.at_ns != b.at_ns ? a.at_ns > b.at_ns : a.asked > b.asked;
    }
  };
  trace& told_;
  std::vector<event> queue_; // a heap
  std::uint64_t asked_ = 0;
};

/// The deeds somebody who may die has asked for: none happens after its end.
class mortal_timers {
 public:
  explicit mortal_timers(event_loop& loop) : loop_(loop) {}
  ~mortal_timers() { *alive_ = false; }
  mortal_timers(const mortal_timers&) = delete;
  mortal_timers& operator=(const mortal_timers&) = delete;

  void after(std::uint64_t delay_ns, event_loop::deed what) {
    loop_.after(delay_ns, [alive = alive_, what = std::move(what)] {
      if (*alive)
        what();
    });
  }

 private:
  event_loop& loop_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace lance::sim
