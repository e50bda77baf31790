// A producer: the real accumulator and send window, with simulated records, time and connection
// around them. What client/producer_io does with sockets and a thread, in one.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "client/accumulator.hpp"
#include "client/send_window.hpp"
#include "tests/sim/checkers/deliveries.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/faults.hpp"
#include "tests/sim/random_stream.hpp"
#include "tests/sim/sim_connection.hpp"

namespace lance::sim {

struct sim_client_shape {
  std::uint32_t number = 0;
  std::size_t logs = 1;
  std::size_t window = 4;
  std::size_t batch_bytes = 4 * KiB;
  client::on_unknown rule = client::on_unknown::resend;
  bool idempotent = false;
  std::uint64_t pause_ns = 2 * ms_in_ns; ///< at most, between two records
};

class sim_client {
 public:
  /// `dial` gives a connection to the node, or null while none answers.
  using dialler = std::function<std::shared_ptr<sim_connection>()>;

  sim_client(const sim_client_shape& shape, event_loop& loop, random_stream random,
             deliveries& sent, trace& told, dialler dial);
  ~sim_client();

  /// No more records; what was begun goes on to its end.
  void stop();
  [[nodiscard]] bool done() const noexcept { return stopped_ && unfinished_ == 0; }

 private:
  void produce();
  void add_record();
  void wake();
  void connect();
  void register_producer();
  void send();
  void prepare(client::outgoing_batch& batch, std::uint64_t batch_id);
  void hear(byte_view bytes);
  void act_on(client::send_window::verdict asked);
  void drop();
  void pause();
  void watch();
  void finish_completed();

  sim_client_shape shape_;
  event_loop& loop_;
  mortal_timers timers_;
  random_stream random_;
  deliveries& sent_;
  trace& told_;
  dialler dial_;
  std::deque<client::outgoing_topic> topics_;
  client::accumulator gathered_;
  client::send_window window_;
  std::shared_ptr<sim_connection> line_;
  std::vector<std::byte> received_;
  bool registering_ = false; // nothing is sent before the answer
  std::unordered_map<std::uint64_t, std::size_t>
      known_;                    // sequence -> in deliveries, while unfinished
  std::uint64_t unfinished_ = 0; // records
  std::uint64_t paused_until_ns_ = 0;
  std::uint64_t last_reply_ns_ = 0;
  bool stopped_ = false;
};

} // namespace lance::sim
