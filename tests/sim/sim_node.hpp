// One process of the simulated node: opens the logs, takes frames from connections, appends,
// answers in the order of the requests, serves its readers, and dies with all it had in memory.
//
// What network, ingestion and poller actors are in the server, on one simulated thread.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "storage/log.hpp"
#include "storage/reader.hpp"
#include "storage/spare_shelf.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/sim_connection.hpp"
#include "tests/sim/sim_disk.hpp"
#include "tests/sim/sim_helper.hpp"
#include "tests/sim/sim_log.hpp"
#include "tests/sim/sim_reader.hpp"
#include "wire/batch_commands.hpp"
#include "wire/frame.hpp"

namespace lance::sim {

/// What a process is given; all of it outlives the process.
struct node_world {
  event_loop& loop;
  sim_disk& disk;
  trace& told;
  fault_counts& counted;
  deliveries& sent;
  random_stream& random; ///< of the process and its readers
  runtime::buffer_pool& append_pool;
  runtime::buffer_pool& read_pool;
  storage::options chosen;
  std::uint64_t recycle_bytes; ///< what dropped segments may keep of the disk
  std::uint64_t reread_bytes;  ///< what closed segments may take of the page cache
  std::vector<std::unique_ptr<log_world>>& logs;
};

class sim_node final : public storage::log_owner {
 public:
  /// Nothing is open yet.
  explicit sim_node(const node_world& around);
  ~sim_node();

  /// Opens all logs. False when the device failed meanwhile (or the machine died): then this
  /// process is of no use.
  bool open();
  /// Begins to serve and to do its periodic duties.
  void run();
  void accept(const std::shared_ptr<sim_connection>& line);

  /// All readers have seen the end of their logs.
  [[nodiscard]] bool all_read() const;
  [[nodiscard]] bool any_fenced() const;
  [[nodiscard]] std::vector<std::unique_ptr<sim_log>>& logs() noexcept { return logs_; }

 private:
  struct ticket {
    bool answered = false;
    std::vector<std::byte> reply;
  };
  struct session {
    explicit session(std::shared_ptr<sim_connection> to) : line(std::move(to)) {}
    std::shared_ptr<sim_connection> line;
    wire::frame_cutter cutter{64 * KiB};
    std::vector<std::byte> received;
    wire::producer_identity producer;
    std::deque<ticket> tickets; // in the order of the requests
    std::uint64_t first_ticket = 0;
  };
  struct incoming {
    std::weak_ptr<session> from;
    std::uint64_t ticket = 0;
    storage::producer_stamp producer;
    wire::frame_header header;
    std::vector<std::byte> payload;
  };

  void log_changed(storage::log&) override { settle_soon(); }
  void hear(const std::shared_ptr<session>& from, byte_view bytes);
  void take(const std::shared_ptr<session>& from, const wire::frame_cut& cut);
  void append_waiting();
  [[nodiscard]] bool append(const incoming& what);
  void refuse(const incoming& what, errc why);
  void answer(const std::weak_ptr<session>& to, std::uint64_t number,
              const wire::frame_header& with, byte_view payload = {});
  void settle_soon();
  void settle();
  void tick();
  void look_at_retention();

  node_world around_;
  mortal_timers timers_;
  sim_helper helper_;
  storage::tail_cache cache_;
  storage::recycle_budget recycled_;
  storage::reread_budget reread_;
  storage::log_environment environment_;
  std::vector<std::unique_ptr<sim_log>> logs_;
  storage::reader reader_;
  std::vector<std::unique_ptr<sim_reader>> readers_;
  std::vector<std::shared_ptr<session>> sessions_;
  std::deque<incoming> waiting_;
  bool settling_ = false;
};

} // namespace lance::sim
