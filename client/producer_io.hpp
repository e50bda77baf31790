// A producer's I/O thread: takes what was gathered, sends as the window allows, reads the answers,
// connects and connects again. It runs no code of the user's.
#pragma once

#include <deque>
#include <memory>

#include "client/producer_shared.hpp"

namespace lance::client {

class producer_io {
 public:
  explicit producer_io(producer_shared& shared);

  /// Returns when the producer ends. The thread's only function.
  void run();

 private:
  struct frame_under_way {
    outgoing_batch* batch = nullptr; ///< in the window's flight
    std::size_t sent = 0;
  };

  [[nodiscard]] bool collect();
  void connect();
  [[nodiscard]] outcome<> register_producer(channel& line);
  void begin_epoch();
  void send();
  void take_frames();
  void prepare(outgoing_batch& batch, std::uint64_t batch_id);
  void advance(std::size_t sent);
  void receive();
  void act_on(send_window::verdict asked);
  void drop(const failure& why);
  void look_at_the_time();
  void pause();
  void finish_completed();
  void finish(completed_batch& done);
  void sleep();
  [[nodiscard]] std::uint64_t next_event_ns() const;

  producer_shared& shared_;
  connector connector_;
  backoff backoff_;
  send_window window_;
  std::unique_ptr<channel> channel_;
  std::uint64_t producer_ = 0;         ///< as the server named us; 0: not yet
  std::deque<frame_under_way> frames_; ///< in order; only the first may be half sent
  std::uint64_t paused_until_ns_ = 0;  ///< no connecting and no new batches before
  std::uint64_t last_reply_ns_ = 0;
  std::uint64_t look_at_ns_ = 0; ///< as told to the senders
  std::uint64_t connects_ = 0;
  failure last_problem_{errc::timed_out, true, {}, {}, "no answer in time"};
};

} // namespace lance::client
