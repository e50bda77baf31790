// Readers of a simulated process: one follows each log's end, one reads it all anew, one reads here
// and there. Each judges what it gets.
#pragma once

#include <vector>

#include "storage/reader.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/faults.hpp"
#include "tests/sim/random_stream.hpp"
#include "tests/sim/sim_log.hpp"

namespace lance::sim {

class sim_reader final : public storage::read_operation {
 public:
  enum class habit : std::uint8_t { follow, audit, wander };

  sim_reader(habit how, sim_log& from, storage::reader& with, event_loop& loop,
             random_stream& random, const fault_counts& counted, trace& told);

  /// Goes on until the process ends.
  void go() { begin_later(); }
  /// The process ends: nothing is begun any more.
  void stop() noexcept { stopped_ = true; }
  /// Has come to the end of the log at least once since the process began.
  [[nodiscard]] bool at_end() const noexcept { return at_end_; }

 private:
  void begin();
  void begin_later();
  void choose();
  void finished(result<storage::read_outcome> outcome) override;
  void went_well(const storage::read_outcome& got);
  void went_wrong(const error& why);
  [[nodiscard]] std::uint64_t& position() noexcept {
    return habit_ == habit::follow ? from_.world().consumed_to : position_;
  }

  habit habit_;
  sim_log& from_;
  storage::reader& reader_;
  mortal_timers timers_;
  random_stream& random_;
  const fault_counts& counted_;
  trace& told_;
  std::vector<std::byte> room_;
  std::uint64_t position_ = 0;
  std::uint64_t flips_before_ = 0;
  std::uint64_t start_before_ = 0;
  bool stopped_ = false;
  bool at_end_ = false;
};

} // namespace lance::sim
