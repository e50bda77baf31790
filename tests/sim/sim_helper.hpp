// The thread for slow deeds, simulated: jobs one after the other, each done at its own moment, its
// end told some time later.
#pragma once

#include <deque>

#include "runtime/blocking_thread.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/random_stream.hpp"

namespace lance::sim {

class sim_helper final : public runtime::job_runner {
 public:
  sim_helper(event_loop& loop, random_stream& random) : timers_(loop), random_(random) {}

  void submit(runtime::blocking_job& job) override {
    waiting_.push_back(&job);
    if (waiting_.size() == 1)
      begin();
  }

 private:
  // Mostly quick; now and then long enough for much to happen beside it.
  std::uint64_t some_time() {
    return random_.below(8) == 0 ? random_.between(1 * ms_in_ns, 20 * ms_in_ns)
                                 : random_.between(20 * us_in_ns, 600 * us_in_ns);
  }
  void begin() {
    timers_.after(some_time(), [this] {
      waiting_.front()->run();
      timers_.after(some_time(), [this] {
        auto* job = waiting_.front();
        waiting_.pop_front();
        if (!waiting_.empty())
          begin();
        job->finish();
      });
    });
  }

  mortal_timers timers_;
  random_stream& random_;
  std::deque<runtime::blocking_job*> waiting_;
};

} // namespace lance::sim
